#pragma once
/// What tests can ask of the stand-in for cuSOLVER and do to it. It stands in for libcusolver when the program is linked:
/// decompositions run in their stream's order, on the simulated CUDA runtime, in double. A capture is refused, as the real one may
/// wait for the device.

#include <cusolverDn.h>

#include <string>

namespace cusolver_sim {

/// Handles made so far; ccomp keeps them all.
int handles();
/// The next call of that function ("cusolverDnSgesvdj") returns `status` and does nothing.
void fail_next(std::string function, cusolverStatus_t status);

}  // namespace cusolver_sim
