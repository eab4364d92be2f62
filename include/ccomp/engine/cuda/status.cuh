#pragma once
/// How kernels report bytes that no encode produces, or that belong to another call.

#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda_status.hpp>

CCOMP_BEGIN
namespace detail {

/// Null: nobody wants to know.
__device__ inline void report_bad_payload(device_status* status) {
  if (status) atomicMax(&status->bad_payload, 1u);
}
/// A slot says that it belongs to another call; the first report stays. The host looks without waiting, so that the
/// flag comes last.
__device__ inline void report_other_call(device_status* status, other_call_report const& report) {
  if (!status || atomicCAS(&status->claimed, 0u, 1u) != 0) return;
  status->other = report;
  __threadfence_system();
  atomicExch(&status->written, 1u);
}

}  // namespace detail
CCOMP_END
