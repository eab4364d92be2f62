#include <ccomp/core/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

using namespace ccomp;

namespace {

std::vector<std::uint32_t> bits16(random_stream const& s, std::size_t n, std::uint64_t from = 0) {
  std::vector<std::uint32_t> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = random_bits16(s, from + i);
  return out;
}

std::size_t equal_values(std::vector<std::uint32_t> const& a, std::vector<std::uint32_t> const& b) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) n += a[i] == b[i];
  return n;
}

// Standard deviations by which the number of set bits departs from half. The seeds are fixed, so a bound of 5 does not
// fail by chance; a biased or correlated source departs by hundreds.
double bias(std::uint64_t set, std::uint64_t total) {
  double const n = static_cast<double>(total);
  return std::fabs(static_cast<double>(set) - n / 2) / std::sqrt(n / 4);
}

std::uint64_t differing_bits(std::vector<std::uint32_t> const& a, std::vector<std::uint32_t> const& b) {
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) n += static_cast<unsigned>(__builtin_popcount(a[i] ^ b[i]));
  return n;
}

}  // namespace

TEST_CASE("philox: the known answers published with Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == philox_words{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  std::uint32_t const ones = 0xffffffff;
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
        philox_words{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        philox_words{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
  constexpr philox_words in_constant_expression = philox4x32({0, 0, 0, 0}, {0, 0});
  static_assert(in_constant_expression.w[0] == 0x6627e8d5);
}

TEST_CASE("hash64: published mixer, fixed values, and no symmetry between seed and step") {
  CHECK(detail::mix64(0x9E3779B97F4A7C15) == 0xe220a8397b1dcdaf);  // splitmix64's first output for seed 0
  // From a separate program: these values are part of the wire format, because shared indices are drawn from them.
  CHECK(hash64(0, step{0}) == 0xbe08cce75cf1194b);
  CHECK(hash64(1, step{2}) == 0x790b9e73a8fa9998);
  CHECK(hash64(2, step{1}) == 0x5d80506a3c5e7520);
  CHECK(hash64(0x123456789abcdef0, step{1000}) == 0x753878394528f08c);
}

TEST_CASE("hash64: every input bit moves about half of the output bits") {
  for (int bit = 0; bit < 64; ++bit) {
    std::uint64_t const flip = std::uint64_t{1} << bit;
    std::uint64_t by_seed = 0, by_step = 0;
    for (std::uint64_t i = 0; i < 256; ++i) {
      std::uint64_t const h = hash64(i, 3 * i);
      by_seed += static_cast<unsigned>(__builtin_popcountll(h ^ hash64(i ^ flip, 3 * i)));
      by_step += static_cast<unsigned>(__builtin_popcountll(h ^ hash64(i, (3 * i) ^ flip)));
    }
    CHECK(bias(by_seed, 256 * 64) < 5);
    CHECK(bias(by_step, 256 * 64) < 5);
  }
}

TEST_CASE("random: the 16 bits of a value follow the documented rule") {
  // From a separate program that follows the text of the header.
  CHECK(random_bits16(random_stream({0, 0}), 0) == 0xd12b);
  CHECK(random_bits16(random_stream({42, 7}, 5, 3, 1), 1000) == 0x084d);
  CHECK(random_bits16(random_stream({42, 7}, (std::uint64_t{9} << 32) + 5, 3, 1), 130) == 0xcca2);
  CHECK(random_bits16(random_stream({1, 2}, 3, 4, 255), (std::uint64_t{1} << 40) + 389) == 0x1fc7);

  random_stream const s({11, 12}, 13, 14, 15);
  for (std::uint64_t group : {0u, 1u, 5u})
    for (std::uint64_t half = 0; half < 2; ++half)
      for (std::uint64_t counter = 0; counter < 32; ++counter)
        for (std::uint64_t word = 0; word < 4; ++word) {
          std::uint32_t const w = random_words(s, 32 * group + counter).w[word];
          REQUIRE(random_bits16(s, 256 * group + 128 * half + 4 * counter + word) == ((w >> (16 * half)) & 0xffff));
        }
}

TEST_CASE("random: a stream's counter holds tensor, rank, phase and both halves of the number") {
  random_stream const s({1, 2}, 0x0000000500000006, 7, 8);
  CHECK(random_counter(s, 9) == philox_words{{9, 6, 7, 8}});
  CHECK(random_counter(s, 0x00abcdef12345678) == philox_words{{0x12345678, 6, 7, 0xabcdef08}});
  std::uint64_t const key = hash64(hash64(1, 2), 5);
  CHECK(s.key[0] == static_cast<std::uint32_t>(key));
  CHECK(s.key[1] == static_cast<std::uint32_t>(key >> 32));
  CHECK(random_stream({1, 2}).rank == 0xffffffff);
}

TEST_CASE("random: the 32 bits of a draw are a word of the counter") {
  random_stream const s({3, 4});
  for (std::uint64_t i = 0; i < 64; ++i) REQUIRE(random_bits32(s, i) == random_words(s, i / 4).w[i % 4]);
}

TEST_CASE("random: another seed, step, tensor, rank or phase gives other bits") {
  std::size_t const n = 4096;
  std::vector<random_stream> const streams{
      random_stream({5, 6}, 7, 8, 9),
      random_stream({6, 6}, 7, 8, 9),
      random_stream({5, 7}, 7, 8, 9),
      random_stream({6, 5}, 7, 8, 9),                             // seed + step alike
      random_stream({5, 6 + (std::uint64_t{1} << 32)}, 7, 8, 9),  // high half of the step
      random_stream({5 + (std::uint64_t{1} << 32), 6}, 7, 8, 9),  // high half of the seed
      random_stream({5, 6}, 8, 8, 9),
      random_stream({5, 6}, 7 + (std::uint64_t{1} << 32), 8, 9),  // high half of the tensor id
      random_stream({5, 6}, 7, 9, 9),
      random_stream({5, 6}, 7, shared_rank, 9),
      random_stream({5, 6}, 7, 8, 10),
  };
  for (std::size_t a = 0; a < streams.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) {
      auto const x = bits16(streams[a], n), y = bits16(streams[b], n);
      CAPTURE(a);
      CAPTURE(b);
      CHECK(equal_values(x, y) < 4);  // by chance: one in 65536
      CHECK(bias(differing_bits(x, y), 16 * n) < 5);
    }
}

TEST_CASE("random: phases do not run into the counter's high half") {
  random_stream const zero({1, 1}, 0, 0, 0), one({1, 1}, 0, 0, 1);
  std::uint64_t const far = std::uint64_t{1} << 35;  // counter number 2^32: the same low half as value 0
  CHECK(equal_values(bits16(one, 256), bits16(zero, 256, far)) < 3);
  CHECK(equal_values(bits16(zero, 256), bits16(zero, 256, far)) < 3);
}

TEST_CASE("random: every bit is balanced, every value equally frequent") {
  std::size_t const n = std::size_t{1} << 20;
  auto const x = bits16(random_stream({2024, 3}, 1, 0, 0), n);
  for (unsigned bit = 0; bit < 16; ++bit) {
    std::uint64_t set = 0;
    for (auto v : x) set += (v >> bit) & 1u;
    CHECK(bias(set, n) < 5);
  }
  for (unsigned shift : {0u, 8u}) {
    std::array<double, 256> count{};
    for (auto v : x) ++count[(v >> shift) & 255u];
    double const expected = static_cast<double>(n) / 256;
    double chi_square = 0;
    for (double c : count) chi_square += (c - expected) * (c - expected) / expected;
    CHECK(chi_square > 255 - 5 * std::sqrt(2 * 255.0));  // too even is as wrong as too uneven
    CHECK(chi_square < 255 + 5 * std::sqrt(2 * 255.0));
  }
}

TEST_CASE("random: neighbours and partners in one counter are independent") {
  std::size_t const n = std::size_t{1} << 18;
  random_stream const s({7, 7}, 0, 0, 0);
  auto const x = bits16(s, n);
  for (std::uint64_t distance : {1u, 2u, 3u, 4u, 127u, 128u, 256u}) {
    CAPTURE(distance);
    CHECK(bias(differing_bits(x, bits16(s, n, distance)), 16 * n) < 5);
  }
}

TEST_CASE("random: no step of a period repeats another's index draws") {
  // An added step aliases with periodic schedules: steps 0, 4, 8, ... would draw the same few coordinates for ever.
  for (std::uint64_t period : {1u, 2u, 4u, 256u}) {
    std::set<std::uint32_t> drawn;
    for (std::uint64_t at = 0; at < 4096; ++at)
      drawn.insert(random_bits32(random_stream({1, at * period}), 0) >> 20);  // one of 4096 coordinates
    CHECK(drawn.size() > 2400);  // 4096 (1 - 1/e) = 2589 expected, standard deviation below 30
    CHECK(drawn.size() < 2800);
  }
}
