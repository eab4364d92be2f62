#pragma once

#include <ccomp/exec/cuda.hpp>

#include <string>

namespace gpu {

/// What results are worth nothing without.
struct facts {
  std::string name;
  int runtime = 0, driver = 0;  // CUDA's versions, such as 13000
};

/// Of the current device; throws cuda_error where there is none.
inline facts current() {
  cudaDeviceProp found{};
  facts all;
  ccomp::detail::check_cuda(cudaGetDeviceProperties(&found, ccomp::cuda_exec{}.device()), "cudaGetDeviceProperties");
  ccomp::detail::check_cuda(cudaRuntimeGetVersion(&all.runtime), "cudaRuntimeGetVersion");
  ccomp::detail::check_cuda(cudaDriverGetVersion(&all.driver), "cudaDriverGetVersion");
  all.name = found.name;
  return all;
}

}  // namespace gpu
