#pragma once
/// The checksum of core/checksum.hpp by a team of threads.

#include <ccomp/core/checksum.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <numeric>
#include <vector>

CCOMP_BEGIN
namespace detail {

std::uint64_t checksum(host_exec const& ex, std::span<std::byte const> bytes);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::uint64_t checksum(host_exec const& ex, std::span<std::byte const> bytes) {
  std::size_t const words = bytes.size() / 8;
  int const team = team_size(ex, words);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(team));
  run_team(team, [&](int part, int parts) {
    auto const p = static_cast<std::size_t>(part), ps = static_cast<std::size_t>(parts);
    std::size_t const begin = words * p / ps, end = words * (p + 1) / ps;
    sums[p] = checksum_range(bytes.data(), begin, end - begin);
  });
  return std::accumulate(sums.begin(), sums.end(), checksum_ends(bytes));
}
#endif

}  // namespace detail
CCOMP_END
