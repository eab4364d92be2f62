#pragma once
/// The checksum of core/checksum.hpp by a team of threads.

#include <ccomp/core/checksum.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <numeric>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// `begin` and `end`: words, counted from `data`.
std::uint64_t checksum_range(host_exec const& ex, std::byte const* data, std::size_t begin, std::size_t end);
inline std::uint64_t checksum(host_exec const& ex, std::span<std::byte const> bytes) {
  return checksum_ends(bytes) + checksum_range(ex, bytes.data(), 0, bytes.size() / 8);
}

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::uint64_t checksum_range(host_exec const& ex, std::byte const* data, std::size_t begin,
                                            std::size_t end) {
  std::size_t const words = end - begin;
  int const team = team_size(ex, words);
  if (team == 1) return checksum_range(data, begin, words);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(team));
  run_team(team, [&](int part, int parts) {
    auto const p = static_cast<std::size_t>(part), ps = static_cast<std::size_t>(parts);
    std::size_t const first = begin + words * p / ps, last = begin + words * (p + 1) / ps;
    sums[p] = checksum_range(data, first, last - first);
  });
  return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}
#endif

}  // namespace detail
CCOMP_END
