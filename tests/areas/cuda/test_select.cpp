// Selection on the (simulated) GPU: what the definition says, for inputs that mislead histograms, and for any history
// of the scratch memory.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/float_bits.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace ccomp;

namespace {

/// Few bits tell the values apart: the k-th largest is decided by the histogram of the given level.
std::vector<float> close_values(std::size_t n, std::uint32_t base, std::uint32_t spread, std::uint64_t seed) {
  support::generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) {
    auto const bits = base + static_cast<std::uint32_t>(g.next() % spread);
    v = std::bit_cast<float>(bits | (g.next() % 2 ? 0x80000000u : 0u));
  }
  return x;
}

/// The indices that top_k keeps, raw in the payload, and the values.
void check_top_k(std::vector<float> const& x, std::size_t k) {
  std::size_t const n = x.size();
  CAPTURE(n);
  CAPTURE(k);
  top_k const c{.count = k, .indices = index_coding::raw};
  cuda_exec const ex;
  workspace ws{ex};
  support::fenced<float> in(x, 1);
  support::fenced<std::byte> payload{std::vector<std::byte>(payload_bytes(c, n))};
  encode(ex, c, in.span(), payload.span(), ws);
  ex.synchronize();
  auto const bytes = payload.values();
  auto const expected = support::naive_top_k(x, k);
  CHECK(std::memcmp(bytes.data(), expected.data(), 4 * k) == 0);
  auto const* const carrier = bytes.data() + detail::pad16(4 * k);
  bool same = true;
  for (std::size_t i = 0; i < k; ++i) same = same && std::memcmp(carrier + 4 * i, &x[expected[i]], 4) == 0;
  CHECK(same);
}

__global__ void scan_kernel(unsigned long long* numbers, std::uint64_t count, unsigned long long* total) {
  unsigned long long const sum = detail::scan_array(numbers, count);
  if (threadIdx.x == 0) *total = sum;
}
__global__ void bound_kernel(std::uint32_t const* index, std::uint32_t count, std::uint32_t* out) {
  std::uint32_t const at = detail::lower_bound(index, count, blockIdx.x, threadIdx.x);
  if (threadIdx.x == 0) out[blockIdx.x] = at;
}

}  // namespace

TEST_CASE("cuda: sums of those before, in several rounds of a thread block") {
  for (std::size_t const n : {0u, 1u, 1023u, 1024u, 1025u, 5000u}) {
    support::generator g(n);
    std::vector<unsigned long long> numbers(n), expected(n);
    unsigned long long sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      expected[i] = sum;
      sum += numbers[i] = g.next() >> 20;
    }
    support::device_array<unsigned long long> const scanned(numbers), total(1);
    detail::launch(cuda_exec{}, "scan", scan_kernel, 1, detail::vector_threads, scanned.data(), std::uint64_t{n},
                   total.data());
    CHECK(scanned.values() == expected);
    CHECK(total.values()[0] == sum);
  }
}

TEST_CASE("cuda: a warp finds its place in a list") {
  for (std::size_t const n : {0u, 1u, 31u, 32u, 33u, 1000u, 1024u, 1057u}) {
    std::vector<std::uint32_t> list(n);
    for (std::size_t i = 0; i < n; ++i) list[i] = static_cast<std::uint32_t>(3 * i + 1);
    support::device_array<std::uint32_t> const index(list), found(3200);
    detail::launch(cuda_exec{}, "bound", bound_kernel, 3200, 32, index.data(), static_cast<std::uint32_t>(n),
                   found.data());
    auto const places = found.values();
    bool right = true;
    for (std::uint32_t bound = 0; bound < 3200; ++bound)
      right =
          right && places[bound] == static_cast<std::uint32_t>(std::ranges::lower_bound(list, bound) - list.begin());
    CHECK(right);
  }
}

TEST_CASE("cuda: top_k is what sorting gives") {
  for (std::size_t const n : {1u, 3u, 1025u, 8192u, 8193u, 20001u})
    for (auto const& each : support::selection_cases(n)) {
      auto const name = each.name;
      CAPTURE(name);
      check_top_k(each.values, n / 100 + 1);
      if (n > 8193) continue;
      check_top_k(each.values, n);
      if (n > 2) check_top_k(each.values, n / 2);
    }
}

TEST_CASE("cuda: top_k where keys differ in their last bits only") {
  for (std::uint32_t const spread : {1u, 2u, 512u, 513u, 300000u})
    for (std::uint32_t const base : {0u, 0x3f7fff00u, 0x7f7fff00u}) {
      CAPTURE(spread);
      CAPTURE(base);
      auto const x = close_values(20000, base, spread, spread + base);
      check_top_k(x, 17);  // more candidates than the pool has room for
      check_top_k(x, 9000);
    }
}

TEST_CASE("cuda: top_k of a large tensor") {
  auto x = support::heavy_tailed_values(300001, 5);
  check_top_k(x, 3000);
  std::fill(x.begin() + 1000, x.end() - 1000, 0.25f);
  check_top_k(x, 3000);
  std::fill(x.begin(), x.end(), 0.0f);
  check_top_k(x, 3000);
}

TEST_CASE("cuda: feedback where the candidates do not fit") {
  // The residual is then written by the last kernel.
  for (float const value : {0.0f, 0.5f}) {
    std::vector<float> x(20000, value);
    x[3] = support::quiet_nan;
    support::check_passes<float>(top_k{.count = 50}, x, 0);
    support::check_passes<bfloat16>(top_k{.count = 50}, x, 1);
    top_k const c{.count = 50};
    cuda_exec const ex;
    workspace ws{ex};
    support::fenced<float> in(x);
    support::fenced<bfloat16> rest(std::vector<bfloat16>(20000, bfloat16(0.0f)));
    support::fenced<std::byte> payload{std::vector<std::byte>(payload_bytes(c, 20000))};
    encode_feedback(ex, c, in.span(), rest.span(), payload.span(), ws, support::here);
    ex.synchronize();
    std::vector<bfloat16> expected(20000, bfloat16(0.0f));
    support::host_bytes bytes(payload_bytes(c, 20000));
    workspace host_ws{host_exec{1}};
    encode_feedback(host_exec{1}, c, x, std::span(expected), bytes.span(), host_ws, support::here);
    CHECK(support::same_bytes(rest.values(), expected));
    CHECK(support::same_bytes(payload.values(), bytes.copy()));
  }
}

TEST_CASE("cuda: a threshold with more values than fit keeps the first from its place on") {
  std::size_t wrapped = 0;
  for (std::uint64_t at = 0; at < 12; ++at) {
    auto x = support::gaussian_values(12000, at);
    threshold const c{.value = 0.7f, .capacity_ratio = 0.25, .indices = index_coding::raw};
    cuda_exec const ex;
    workspace ws{ex};
    workspace host_ws{host_exec{1}};
    support::fenced<float> in(x);
    support::fenced<std::byte> payload{std::vector<std::byte>(payload_bytes(c, x.size()))};
    encode(ex, c, in.span(), payload.span(), ws, {.at = at});
    ex.synchronize();
    support::host_bytes bytes(payload_bytes(c, x.size()));
    encode(host_exec{1}, c, x, bytes.span(), host_ws, {.at = at});
    CHECK(support::same_bytes(payload.values(), bytes.copy()));
    CHECK(threshold::overflow(bytes.span()) > 0);
    std::uint32_t ends[2];
    std::memcpy(&ends[0], bytes.span().data() + 8, 4);
    std::memcpy(&ends[1], bytes.span().data() + 8 + 4 * 2999, 4);
    wrapped += ends[0] < 10 && ends[1] > 11990;
  }
  CHECK(wrapped > 0);  // around the end
  CHECK(wrapped < 12);
}

TEST_CASE("cuda: the root mean square of many tiles is the host's") {
  for (std::size_t const n : {4095u, 4097u, 600000u}) {
    auto const x = support::heavy_tailed_values(n, 3);
    threshold const c{.relative = 1.25f};
    cuda_exec const ex;
    workspace ws{ex};
    workspace host_ws{host_exec{1}};
    support::fenced<float> in(x);
    support::fenced<std::byte> payload{std::vector<std::byte>(payload_bytes(c, n))};
    encode(ex, c, in.span(), payload.span(), ws);
    ex.synchronize();
    support::host_bytes bytes(payload_bytes(c, n));
    encode(host_exec{1}, c, x, bytes.span(), host_ws);
    CHECK(support::same_bytes(payload.values(), bytes.copy()));
  }
}
