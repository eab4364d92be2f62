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
/// The slot of `rank` says that it belongs to another call; the first report stays.
__device__ inline void report_other_call(device_status* status, unsigned rank, unsigned long long fingerprint,
                                         unsigned long long sequence) {
  if (!status || atomicCAS(&status->other_call, 0u, rank + 1) != 0) return;
  status->fingerprint = fingerprint;
  status->sequence = sequence;
}

}  // namespace detail
CCOMP_END
