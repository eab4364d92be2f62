#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

constexpr index_coding codings[] = {index_coding::raw, index_coding::packed, index_coding::bitmap};

std::vector<std::byte> encoded_indices(host_exec const& ex, index_layout const& l,
                                       std::vector<std::uint32_t> const& index) {
  std::vector<std::byte> bytes(l.bytes() + 16, std::byte{0x5a});
  detail::encode_indices(ex, l, index, bytes.data());
  for (std::size_t i = l.bytes(); i < bytes.size(); ++i) CHECK(bytes[i] == std::byte{0x5a});
  bytes.resize(l.bytes());
  return bytes;
}
std::vector<std::uint32_t> decoded_indices(host_exec const& ex, index_layout const& l,
                                           std::vector<std::byte> const& bytes, std::size_t count) {
  std::vector<std::uint32_t> index(count);
  detail::coded_indices const good(ex, l, bytes, count, 1 << 12, "test");
  good.visit([&](std::size_t entry, std::span<std::uint32_t const> some) {
    std::copy(some.begin(), some.end(), index.begin() + static_cast<std::ptrdiff_t>(entry));
  });
  return index;
}

/// The definition, bit by bit.
std::vector<std::byte> naive_packed(index_layout const& l, std::vector<std::uint32_t> const& index) {
  std::vector<std::byte> bytes(l.bytes());
  auto set = [&](std::size_t bit) { bytes[bit / 8] |= std::byte{1} << static_cast<int>(bit % 8); };
  auto const low = static_cast<std::size_t>(l.low_bits);
  for (std::size_t i = 0; i < index.size(); ++i) {
    for (std::size_t b = 0; b < low; ++b)
      if ((index[i] >> b & 1u) != 0) set(i * low + b);
    set(8 * l.low_bytes + (index[i] >> low) + i);
  }
  return bytes;
}

template <class F> std::string refusal(F const& f) {
  try {
    f();
  } catch (payload_error const& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("index coding: sizes") {
  CHECK(index_layout(index_coding::raw, 1000, 10).bytes() == 40);
  CHECK(index_layout(index_coding::bitmap, 1000, 10).bytes() == 128);
  index_layout const p(index_coding::packed, 1000, 10);  // 6 low bits each; 10 + 15 + 1 bits
  CHECK(p.low_bits == 6);
  CHECK(p.bytes() == 8 + 8);
  for (std::size_t n : {1u, 10u, 1000u, 100000u})
    for (std::size_t k : {std::size_t{1}, n / 100, n / 10, n / 3, n}) {
      if (k == 0) continue;
      std::size_t least = ~std::size_t{};
      for (auto c : codings) least = std::min(least, index_layout(c, n, k).bytes());
      CHECK(index_layout(index_coding::automatic, n, k).bytes() == least);
    }
  CHECK(index_layout(index_coding::automatic, 1 << 24, 1 << 17).coding == index_coding::packed);
  CHECK(index_layout(index_coding::automatic, 1 << 20, 1 << 19).coding == index_coding::bitmap);
  CHECK(index_layout(index_coding::automatic, 1 << 24, 1).coding == index_coding::raw);
  CHECK(index_layout(index_coding::automatic, 0, 0).bytes() == 0);
}

TEST_CASE("index coding: every code round-trips, the same bytes from any team") {
  for (std::size_t n : {1u, 2u, 63u, 64u, 65u, 1000u, 4096u, 300001u})
    for (std::size_t k : {std::size_t{1}, std::size_t{2}, n / 100, n / 7, n / 2, n - 1, n}) {
      if (k == 0 || k > n) continue;
      auto const index = support::random_indices(n, k, n + k);
      REQUIRE(index.size() == k);
      for (auto coding : codings) {
        index_layout const l(coding, n, k);
        auto const bytes = encoded_indices({1}, l, index);
        if (coding == index_coding::packed) CHECK(bytes == naive_packed(l, index));
        for (auto const& ex : support::host_execs()) {
          CHECK(encoded_indices(ex, l, index) == bytes);
          CHECK(decoded_indices(ex, l, bytes, k) == index);
        }
      }
    }
}

TEST_CASE("index coding: the ends of the largest tensors") {
  std::size_t const n = 0xffffffffu;
  std::vector<std::uint32_t> const index{0, 1, 0x7fffffffu, 0xfffffffdu, 0xfffffffeu};
  for (auto coding : {index_coding::raw, index_coding::packed}) {
    index_layout const l(coding, n, index.size());
    auto const bytes = encoded_indices({1}, l, index);
    CHECK(decoded_indices({1}, l, bytes, index.size()) == index);
  }
}

TEST_CASE("index coding: fewer indices than there is room for") {
  for (auto coding : codings)
    for (std::size_t count : {0u, 1u, 63u, 64u, 65u, 200u}) {
      index_layout const l(coding, 10000, 200);
      auto const index = support::random_indices(10000, count, count);
      auto const bytes = encoded_indices({1}, l, index);
      CHECK(decoded_indices({1}, l, bytes, count) == index);
      if (coding == index_coding::packed) CHECK(bytes == naive_packed(l, index));
    }
}

TEST_CASE("index coding: lists that no encode writes are refused in one sentence") {
  host_exec const ex{2};
  std::size_t const n = 100000, k = 5000;
  auto const good = support::random_indices(n, k, 3);
  auto raw = [&](std::vector<std::uint32_t> const& index) {
    std::vector<std::byte> bytes(4 * k);
    std::memcpy(bytes.data(), index.data(), 4 * k);
    return refusal([&] { decoded_indices(ex, {index_coding::raw, n, k}, bytes, k); });
  };
  CHECK(raw(good).empty());
  for (std::size_t at : {std::size_t{0}, k / 2 - 1, k / 2, k - 2}) {
    auto bad = good;
    std::swap(bad[at], bad[at + 1]);
    CHECK(raw(bad).find("do not ascend") != std::string::npos);
    bad = good;
    bad[at + 1] = bad[at];
    CHECK(raw(bad).find("do not ascend") != std::string::npos);
  }
  auto beyond = good;
  for (std::uint32_t last : {100000u, 0xffffffffu}) {
    beyond.back() = last;
    CHECK(raw(beyond).find("below the 100000 values") != std::string::npos);
  }

  for (auto coding : {index_coding::packed, index_coding::bitmap}) {
    index_layout const l(coding, n, k);
    auto bytes = encoded_indices(ex, l, good);
    auto const row = 8 * (l.low_bytes);
    auto flip = [&](std::size_t bit) { bytes[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8); };
    for (std::size_t bit : {std::size_t{0}, std::size_t{777}, 8 * l.map_bytes - 1}) {
      flip(row + bit);
      CHECK(refusal([&] { decoded_indices(ex, l, bytes, k); }).find("indices instead of 5000") != std::string::npos);
      flip(row + bit);
    }
    // As many ones, but one of them in the padding.
    std::size_t first = 0;
    while ((bytes[(row + first) / 8] >> static_cast<int>((row + first) % 8) & std::byte{1}) == std::byte{0}) ++first;
    flip(row + first);
    flip(row + 8 * l.map_bytes - 1);
    CHECK(refusal([&] { decoded_indices(ex, l, bytes, k); }).find("ascend") != std::string::npos);
    CHECK(refusal([&] {
            bytes.pop_back();
            decoded_indices(ex, l, bytes, k);
          }).find("the payload has") != std::string::npos);
  }
}

TEST_CASE("index coding: random bytes are refused or decode in bounds, and leave the output alone when refused") {
  support::generator g(8);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::size_t const n = 1 + g.next() % 3000;
    auto const coding = codings[round % 3];
    top_k const c{.ratio = 0.05, .indices = coding};
    std::size_t const k = c.carrier_size(n);
    auto const x = support::gaussian_values(n, static_cast<std::uint64_t>(round));
    auto bytes = support::encoded(c, x);
    auto const side = c.side_bytes(n);
    for (auto hits = 1 + g.next() % 4; hits-- > 0;)
      bytes[g.next() % side] ^= static_cast<std::byte>(1 + g.next() % 255);
    std::vector<float> out(n + 32, -5.0f);
    std::vector<float> const carrier(k, 1.0f);
    std::span<float> const inside(out.data() + 16, n);
    try {
      c.decode({2}, {bytes.data(), side}, carrier, inside, {}, {});
      std::size_t ones = 0;
      for (float const v : inside) ones += v == 1.0f;
      CHECK(ones == k);
    } catch (payload_error const&) {
      ++refused;
      for (float const v : inside) CHECK(v == -5.0f);
    }
    for (std::size_t i = 0; i < 16; ++i) CHECK((out[i] == -5.0f && out[out.size() - 1 - i] == -5.0f));
  }
  CHECK(refused > 1000);
}
