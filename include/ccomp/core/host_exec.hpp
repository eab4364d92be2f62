#pragma once
/// Where work runs on the host: how many threads, which instruction set.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#if defined(_OPENMP)
#include <omp.h>
#endif

CCOMP_BEGIN

/// The variants of the hot loops. All give the same bytes; `automatic` is the best one this CPU has.
enum class instruction_set { automatic, baseline, avx2, avx512 };

/// Runs on the calling thread and a team of `threads` (0: all cores, shared between the ranks of a thread_group
/// or of an MPI communicator on one machine).
/// Calls return when the work is done; results never depend on either setting.
struct host_exec {
  int threads = 0;
  instruction_set isa = instruction_set::automatic;

  static void* allocate(std::size_t bytes) { return ::operator new(bytes, std::align_val_t{256}); }
  static void deallocate(void* memory) noexcept { ::operator delete(memory, std::align_val_t{256}); }

  static void fill_zero(void* memory, std::size_t bytes) {
    if (bytes > 0) std::memset(memory, 0, bytes);
  }
  static void copy(void* to, void const* from, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  static void copy_from_host(void* to, void const* from, std::size_t bytes) { copy(to, from, bytes); }
  static void copy_to_host(void* to, void const* from, std::size_t bytes) { copy(to, from, bytes); }
};

namespace detail {

inline bool cpu_has(instruction_set isa) {
#if CCOMP_X86_VARIANTS
  // Half-precision conversion (f16c) and bmi come with every CPU that has avx2 and fma; clang cannot ask for them.
  bool const avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (isa == instruction_set::avx2) return avx2;
  if (isa == instruction_set::avx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == instruction_set::baseline;
}

inline char const* isa_name(instruction_set isa) {
  switch (isa) {
    case instruction_set::avx2:
      return "avx2";
    case instruction_set::avx512:
      return "avx512";
    case instruction_set::baseline:
      return "baseline";
    default:
      return "automatic";
  }
}

/// The instruction set to use for `ex`; asking for one that the CPU lacks throws.
instruction_set resolve_isa(host_exec const& ex);

/// How many ranks share this process's cores, as far as this thread knows; set by thread_group.
inline int& ranks_in_process() {
  static thread_local int ranks = 1;
  return ranks;
}

/// How many cores this process may use, where other processes of its communicator share them; 0: all. Set by
/// mpi_communicator.
inline std::atomic<int>& cores_of_process() {
  static std::atomic<int> cores = 0;
  return cores;
}

int resolve_threads(host_exec const& ex);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION instruction_set resolve_isa(host_exec const& ex) {
  static instruction_set const best = cpu_has(instruction_set::avx512) ? instruction_set::avx512
                                      : cpu_has(instruction_set::avx2) ? instruction_set::avx2
                                                                       : instruction_set::baseline;
  if (ex.isa == instruction_set::automatic) return best;
  if (ex.isa == best) return best;
  expects(cpu_has(ex.isa),
          [&] { return sentence("host_exec: this CPU or build has no ", isa_name(ex.isa), " variant"); });
  return ex.isa;
}
CCOMP_FUNCTION int resolve_threads(host_exec const& ex) {
  expects(ex.threads >= 0, [&] { return sentence("host_exec: threads must not be negative, got ", ex.threads); });
  if (ex.threads > 0) return ex.threads;
#if defined(_OPENMP)
  int const cores = omp_get_max_threads();
#else
  int const cores = static_cast<int>(std::thread::hardware_concurrency());
#endif
  int const share = cores_of_process().load(std::memory_order_relaxed);
  int const mine = (share > 0 && share < cores ? share : cores) / ranks_in_process();
  return mine > 1 ? mine : 1;
}
#endif

}  // namespace detail
CCOMP_END
