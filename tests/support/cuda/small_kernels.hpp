#pragma once
/// Kernels whose order shows in their result, for tests of the simulated runtime.

#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <string>

namespace support {

inline void ok(cudaError_t error) { REQUIRE(std::string(cudaGetErrorName(error)) == "cudaSuccess"); }

__global__ inline void add(int* to, int v) { *to += v; }
__global__ inline void multiply(int* to, int v) { *to *= v; }

}  // namespace support
