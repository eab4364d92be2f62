#pragma once
/// What tests can ask of the stand-in for cuBLAS and do to it. It stands in for libcublas when the program is linked:
/// products are plain loops that run in their stream's order, on the simulated CUDA runtime. What a real cuBLAS would
/// take but ccomp must not do (a capture without a workspace of the caller's, say) it refuses.

#include <cublas_v2.h>

#include <string>

namespace cublas_sim {

/// Handles made so far; ccomp keeps them all.
int handles();
/// The next call of that function ("cublasSgemm") returns `status` and does nothing.
void fail_next(std::string function, cublasStatus_t status);

}  // namespace cublas_sim
