#pragma once
/// What the CUDA runtime answers, as exceptions.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>

#include <cuda_runtime_api.h>

#include <string>

CCOMP_BEGIN
namespace detail {

/// Throws cuda_error that names the call; clears the runtime's sticky-until-read error, so that the next call is not
/// blamed for it.
inline void check_cuda(cudaError_t status, char const* call, source at = source::current()) {
  if (status == cudaSuccess) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());
  fail<cuda_error>(sentence(call, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")"), at);
}

/// For errors in destructors and in polling, which no caller sees. Clears them, so that the caller's next call does not
/// report them.
inline void ignore_error(cudaError_t status) noexcept {
  if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
}

}  // namespace detail
CCOMP_END
