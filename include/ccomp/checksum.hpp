#pragma once
/// The checksum of frames and saved state: a sum over words, each mixed with its place, so that any order and any
/// number of threads (or a GPU in the same pass) gives the same number.

#include <ccomp/engine/host/parallel.hpp>
#include <ccomp/random.hpp>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// The part of one 8-byte word; `place` counts words. Odd multipliers make any change of one word visible for certain.
CCOMP_HD constexpr std::uint64_t checksum_term(std::uint64_t word, std::uint64_t place) {
  std::uint64_t const mixed = (word ^ (word >> 32)) * 0x9E3779B97F4A7C15u;
  return (mixed ^ (mixed >> 29)) * (2 * place + 0xD1B54A32D192ED03u);
}

inline std::uint64_t checksum_range(std::byte const* data, std::size_t first_word, std::size_t words) {
  std::uint64_t sum = 0;
  for (std::size_t i = first_word; i < first_word + words; ++i) {
    std::uint64_t w;
    std::memcpy(&w, data + 8 * i, 8);
    sum += checksum_term(w, i);
  }
  return sum;
}

/// The last word is filled up with zeros; the length is part of the sum.
inline std::uint64_t checksum(host_exec const& ex, std::span<std::byte const> bytes) {
  std::size_t const words = bytes.size() / 8;
  int const team = team_size(ex, words);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(team));
  run_team(team, [&](int part, int parts) {
    auto const p = static_cast<std::size_t>(part), ps = static_cast<std::size_t>(parts);
    std::size_t const begin = words * p / ps, end = words * (p + 1) / ps;
    sums[p] = checksum_range(bytes.data(), begin, end - begin);
  });
  std::uint64_t sum = std::accumulate(sums.begin(), sums.end(), mix64(bytes.size() + 1));
  if (std::size_t const left = bytes.size() % 8; left > 0) {
    std::uint64_t w = 0;
    std::memcpy(&w, bytes.data() + 8 * words, left);
    sum += checksum_term(w, words);
  }
  return sum;
}

}  // namespace detail
CCOMP_END
