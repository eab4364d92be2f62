#pragma once
/// How kernels report bytes that no encode produces, or that belong to another call.

#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda_status.hpp>

CCOMP_BEGIN
namespace detail {

// The words lie in the host's memory: each report crosses the bus. So only one thread of a kernel reports, or of a list,
// and not each that finds something.

/// A word that the host writes.
__device__ inline unsigned word_of_host(unsigned const* p) {
#if defined(__CUDACC__)
  return *static_cast<unsigned const volatile*>(p);  // to PTX: relaxed, of the system's scope
#else
  return __atomic_load_n(p, __ATOMIC_RELAXED);
#endif
}

/// Null: nobody wants to know.
__device__ inline void report_bad_payload(device_status* status) {
  if (status) atomicAdd_system(&status->bad_payloads, 1u);
}
/// Legal, and counted.
__device__ inline void report_overflow(device_status* status, std::uint32_t values) {
  if (status && values > 0) atomicAdd_system(&status->overflowed, static_cast<unsigned long long>(values));
}
/// A slot says that it belongs to another call; the first report stays until the host has taken it. The host looks
/// without waiting, so that the count comes last.
__device__ inline void report_other_call(device_status* status, other_call_report const& report) {
  if (!status) return;
  unsigned const taken = word_of_host(&status->taken);
  if (atomicCAS_system(&status->claimed, taken, taken + 1) != taken) return;
  __threadfence_system();  // the host has read what is overwritten now
  status->other = report;
  __threadfence_system();
  atomicExch_system(&status->written, taken + 1);
}

}  // namespace detail
CCOMP_END
