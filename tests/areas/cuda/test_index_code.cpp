// Index codes on the (simulated) GPU: the host's bytes, and what becomes of bytes that no encode produces.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/generators.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

constexpr index_coding codings[] = {index_coding::raw, index_coding::packed, index_coding::bitmap};

/// Values of which exactly those at `index` reach 1.
std::vector<float> values_at(std::size_t n, std::vector<std::uint32_t> const& index) {
  auto x = support::gaussian_values(n, 3, 1e-3);
  for (auto const i : index) x[i] = 2.0f + static_cast<float>(i % 7);
  return x;
}

/// What decode leaves in `out`, on the host and on the device, one or several payloads; true: refused.
struct outcome {
  std::vector<float> out;
  bool refused;
};
template <class C> outcome decoded_on_host(C const& c, std::vector<std::byte> const& payload, std::size_t n) {
  support::host_bytes bytes(payload.size());
  std::ranges::copy(payload, bytes.span().begin());
  workspace ws{host_exec{1}};
  outcome r{std::vector<float>(n), false};
  try {
    decode(host_exec{1}, c, bytes.span(), r.out, ws);
  } catch (payload_error const&) {
    r = {std::vector<float>(n), true};
  }
  return r;
}
template <class C> outcome on_device(C const& c, std::vector<std::byte> const& payload, std::size_t n) {
  cuda_exec const ex;
  workspace ws{ex};
  support::fenced<std::byte> coded(payload);
  support::fenced<float> out(std::vector<float>(n, 9.0f));
  decode(ex, c, coded.span(), out.span(), ws);
  outcome r{{}, false};
  try {
    ws.check();
  } catch (payload_error const&) {
    r.refused = true;
  }
  r.out = out.values();
  return r;
}
/// Bytes from elsewhere: both sides take them, or both refuse, and then the device leaves zeros.
template <class C> bool check_bytes(C const& c, std::vector<std::byte> const& payload, std::size_t n) {
  auto const host = decoded_on_host(c, payload, n), device = on_device(c, payload, n);
  CHECK(host.refused == device.refused);
  CHECK(support::same_bytes(host.out, device.out));
  return device.refused;
}
template <class C> std::vector<std::byte> encoded(C const& c, std::vector<float> const& x) {
  support::host_bytes bytes(payload_bytes(c, x.size()));
  workspace ws{host_exec{1}};
  encode(host_exec{1}, c, x, bytes.span(), ws);
  return bytes.copy();
}

}  // namespace

TEST_CASE("cuda: indices near the ends and far apart") {
  for (auto const coding : codings)
    for (auto const& [n, index] : std::initializer_list<std::pair<std::size_t, std::vector<std::uint32_t>>>{
             {1, {0}},
             {33, {32}},
             {64, {0, 63}},
             {4096, {0, 1, 2, 3, 4, 5, 6, 7}},
             {40000, {39996, 39997, 39998, 39999}},
             {40000, {0, 39999}},
             {20000, support::random_indices(20000, 7000, 1)},
             {20000, support::random_indices(20000, 200, 2)},
             {300, support::random_indices(300, 299, 3)},
             {9000, support::random_indices(9000, 4500, 4)}}) {
      CAPTURE(n);
      CAPTURE(index.size());
      auto const x = values_at(n, index);
      support::check_passes<float>(top_k{.count = index.size(), .indices = coding}, x, 0);
      // The count of a threshold leaves room in the code.
      support::check_passes<float>(threshold{.value = 1, .capacity_ratio = 1, .indices = coding}, x, 0);
      if (index.size() > 2)  // and here it overflows
        support::check_passes<float>(
            threshold{.value = 1,
                      .capacity_ratio = static_cast<double>(index.size() - 1) / static_cast<double>(n),
                      .indices = coding},
            x, 0);
    }
}

TEST_CASE("cuda: indices that do not ascend below n are refused as a whole") {
  for (std::size_t const k : {500u, 4500u}) {
    std::size_t const n = 10 * k;
    top_k const c{.count = k, .indices = index_coding::raw};
    auto const good = encoded(c, values_at(n, support::random_indices(n, k, 1)));
    CHECK_FALSE(check_bytes(c, good, n));
    auto const with = [&](std::size_t entry, std::uint32_t index) {
      auto bytes = good;
      std::memcpy(bytes.data() + 4 * entry, &index, 4);
      return check_bytes(c, bytes, n);
    };
    std::uint32_t before = 0;
    std::memcpy(&before, good.data() + 4 * 255, 4);
    CHECK(with(256, before));  // twice, across two thread blocks
    CHECK(with(256, before - 1));
    CHECK(with(k - 1, static_cast<std::uint32_t>(n)));
    CHECK(with(k - 1, 0xffffffffu));
    CHECK(with(0, 0x7fffffffu));
    std::vector<std::byte> const ones(good.size(), std::byte{0xff}), zeros(good.size());
    CHECK(check_bytes(c, ones, n));
    CHECK(check_bytes(c, zeros, n));
  }
}

TEST_CASE("cuda: rows with too many ones, too few, or past the end") {
  for (auto const& [n, k, coding] :
       std::initializer_list<std::tuple<std::size_t, std::size_t, index_coding>>{{4000, 300, index_coding::packed},
                                                                                 {20000, 6000, index_coding::packed},
                                                                                 {9000, 1000, index_coding::bitmap},
                                                                                 {40000, 3000, index_coding::bitmap}}) {
    top_k const c{.count = k, .indices = coding};
    auto const good = encoded(c, values_at(n, support::random_indices(n, k, 1)));
    CHECK_FALSE(check_bytes(c, good, n));
    std::size_t const side = c.side_bytes(n), row = index_layout(coding, n, k).low_bytes;
    std::size_t refused = 0;
    for (std::size_t at = row; at < side; at += side / 8 + 1)
      for (unsigned const value : {0x00u, 0xffu, 0x10u}) {
        auto bytes = good;
        bytes[at] = static_cast<std::byte>(value);
        refused += check_bytes(c, bytes, n);
      }
    CHECK(refused > 5);
    std::vector<std::byte> const ones(good.size(), std::byte{0xff}), zeros(good.size());
    CHECK(check_bytes(c, ones, n));
    CHECK(check_bytes(c, zeros, n));
  }
}

TEST_CASE("cuda: any bytes are taken or refused as on the host") {
  support::generator g(7);
  std::size_t refused = 0, taken = 0;
  auto const each = [&](auto const& c, std::size_t n) {
    CAPTURE(text(c));
    auto const good = encoded(c, support::gaussian_values(n, 4));
    for (int i = 0; i < 6; ++i) {
      auto bytes = good;
      // A few bytes of the side bytes or of what follows, or all of them.
      if (i < 5)
        for (std::uint64_t change = g.next() % 3 + 1; change > 0; --change)
          bytes[g.next() % bytes.size()] = static_cast<std::byte>(g.next());
      else
        for (auto& b : bytes) b = static_cast<std::byte>(g.next());
      ++(check_bytes(c, bytes, n) ? refused : taken);
    }
  };
  for (auto const coding : codings) {
    each(top_k{.ratio = 0.2, .indices = coding}, 3000);
    each(top_k{.ratio = 0.25, .indices = coding}, 20000);
    each(top_k{.ratio = 0.05, .indices = coding} | uniform_quantize<4>{}, 3001);
    each(top_k{.ratio = 0.3, .indices = coding} | top_k{.ratio = 0.4, .indices = coding}, 2000);
    each(threshold{.value = 1.5f, .capacity_ratio = 0.2, .indices = coding}, 3000);
    each(threshold{.value = 1.5f, .capacity_ratio = 0.2, .indices = coding} | uniform_quantize<8>{}, 3000);
  }
  CHECK(refused > 20);
  CHECK(taken > 10);
}

TEST_CASE("cuda: counts that no threshold writes") {
  constexpr std::size_t n = 1000;  // of the first list, read by one block
  threshold const c{.value = 1, .capacity_ratio = 0.5, .indices = index_coding::raw};
  auto const good = encoded(c, support::gaussian_values(n, 4));
  auto const with = [&](std::uint32_t kept, std::uint32_t left_out) {
    auto bytes = good;
    std::memcpy(bytes.data(), &kept, 4);
    std::memcpy(bytes.data() + 4, &left_out, 4);
    return check_bytes(c, bytes, n);
  };
  CHECK(with(501, 0));
  CHECK(with(0xffffffffu, 0));
  CHECK(with(10, 991));
  CHECK(with(2, 0xffffffffu));
  CHECK_FALSE(with(10, 990));
  CHECK_FALSE(with(0, 0));
}

TEST_CASE("cuda: of several payloads only the bad one is left out") {
  constexpr std::size_t n = 9000;
  top_k const c{.ratio = 0.1};
  std::size_t const bytes = payload_bytes(c, n);
  auto const a = encoded(c, support::gaussian_values(n, 1)), b = encoded(c, support::gaussian_values(n, 2));
  auto bad = encoded(c, support::gaussian_values(n, 3));
  bad[c.side_bytes(n) - 20] ^= std::byte{0xff};
  CHECK(decoded_on_host(c, bad, n).refused);
  std::vector<std::byte> all = a;
  all.insert(all.end(), bad.begin(), bad.end());
  all.insert(all.end(), b.begin(), b.end());
  cuda_exec const ex;
  workspace ws{ex};
  support::fenced<std::byte> sources(all);
  support::fenced<float> out{std::vector<float>(n)};
  auto call = detail::device_call(n, element_type::float32, {});
  call.sum.sources = sources.span().data();
  call.sum.stride = bytes;
  call.sum.count = 3;
  call.whole.out = {out.span().data(), element_type::float32};
  call.status = ws.status();
  detail::run_on_device<detail::device_pass::decode>(ex, c, call, ws);
  CHECK_THROWS_AS(ws.check(), payload_error);
  auto const x = decoded_on_host(c, a, n).out, y = decoded_on_host(c, b, n).out;
  std::vector<float> sum(n);
  for (std::size_t i = 0; i < n; ++i) sum[i] = 0.0f + x[i] + y[i];
  CHECK(support::same_bytes(out.values(), sum));
}
