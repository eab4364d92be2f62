#pragma once
/// How many cores each rank of a machine may use. Part of comm/mpi.hpp.

#include <ccomp/comm/mpi_error.hpp>
#include <ccomp/core/fields.hpp>

#if defined(__linux__)
#include <sched.h>
#endif

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

CCOMP_BEGIN
namespace detail {

/// Where a rank may run: its machine and the machine's cores, a bit each. Cores beyond the 1024th are not counted.
struct mpi_place {
  std::uint64_t machine = 0;
  std::array<std::uint64_t, 16> cores{};

  static mpi_place here() {
    mpi_place p;
    char name[MPI_MAX_PROCESSOR_NAME] = {};
    int length = 0;
    if (MPI_Get_processor_name(name, &length) == MPI_SUCCESS) p.machine = hash_bytes(name);
#if defined(__linux__)
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
      for (std::size_t c = 0; c < 64 * p.cores.size(); ++c)
        if (CPU_ISSET(c, &mask)) p.cores[c / 64] |= std::uint64_t{1} << (c % 64);
#endif
    return p;
  }
  [[nodiscard]] bool has(std::size_t core) const { return (cores[core / 64] >> (core % 64) & 1) != 0; }
};

/// Each core is shared between the ranks that may run on it; 0: nothing is known.
inline int cores_of(mpi_place const& mine, std::span<mpi_place const> all) {
  double share = 0;
  for (std::size_t c = 0; c < 64 * mine.cores.size(); ++c) {
    if (!mine.has(c)) continue;
    int ranks = 0;
    for (auto const& other : all) ranks += other.machine == mine.machine && other.has(c);
    share += 1.0 / ranks;
  }
  return share > 0 && share < 1 ? 1 : static_cast<int>(share + 1e-9);
}

}  // namespace detail
CCOMP_END
