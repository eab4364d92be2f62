#pragma once
/// A bound on magnitudes that about so many values reach, from a sample: what host and GPU must do alike.

#include <ccomp/core/config.hpp>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// Where value i of a sample stands: one value of each of `count` equal stretches of n values, at a place in it that no
/// pattern in the data can follow.
CCOMP_HD constexpr std::uint64_t sample_place(std::uint64_t i, std::uint64_t n, std::uint64_t count) {
  std::uint64_t const stride = (n << 16) / count, width = n / count;
  auto h = static_cast<std::uint32_t>(i) * 0x9E3779B1u + 0x7F4A7C15u;
  h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
  h = (h ^ (h >> 13)) * 0xC2B2AE35u;
  h ^= h >> 16;
  return ((i * stride) >> 16) + ((h * width) >> 32);
}

/// The search for a key that at most `most` of n values reach, and at least four fifths of that: a first trial and two
/// corrections. Ranks count from the largest of the sample.
struct bound_search {
  static constexpr std::uint64_t most_sampled = 8192;
  static constexpr int trials = 3;

  std::uint64_t most = 0, sampled = 0, rank = 0;
  std::uint64_t reached = 0;  // by the best key so far
  std::uint32_t key = 0;      // the best one
  int tried = 0;
  bool ended = false;

  bound_search() = default;
  CCOMP_HD constexpr bound_search(std::uint64_t n, std::uint64_t wanted)
      : most(wanted), sampled(n < most_sampled ? n : most_sampled), rank(wanted) {
    if (n > most_sampled) rank = clamped(9 * wanted * sampled / (10 * n));
  }
  /// Takes note of how many values reach a key of rank `rank`; asks for another rank, or ends.
  CCOMP_HD constexpr void judge(std::uint32_t trial, std::uint64_t count) {
    bool const fits = count <= most, fitted = reached <= most;
    if (tried == 0 || (fits ? !fitted || count > reached : !fitted && count < reached)) {
      key = trial;
      reached = count;
    }
    // Keys of zeros were raised to that of the smallest number: there is none below.
    ended = ++tried == trials || (fits && (5 * count >= 4 * most || trial == 1));
    if (!ended && count > 0) rank = clamped(rank * 9 * most / (10 * count));
  }

 private:
  CCOMP_HD constexpr std::uint64_t clamped(std::uint64_t r) const { return r < 1 ? 1 : r > sampled ? sampled : r; }
};

}  // namespace detail
CCOMP_END
