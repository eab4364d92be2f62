#include <ccomp/codec.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/quantize/cast.hpp>

#include <cublas_v2.h>

#include <cstdio>
#include <cstring>
#include <vector>

namespace {

/// A kernel, NCCL and cuBLAS: all three libraries are there, and the headers' language level.
bool works() {
  ccomp::cuda_exec const ex;
  ccomp::nccl_communicator comm(ccomp::nccl_communicator::unique_id(), 0, 1, ex.device());
  cublasHandle_t blas = nullptr;
  if (cublasCreate(&blas) != CUBLAS_STATUS_SUCCESS) return false;
  static_cast<void>(cublasDestroy(blas));

  std::size_t const n = 1000;
  ccomp::cast<ccomp::bfloat16> const c;
  std::vector<float> const in(n, 0.5f);
  std::vector<ccomp::bfloat16> out(n);
  ccomp::workspace ws{ex};
  auto* const x = static_cast<float*>(ex.allocate(n * sizeof(float)));
  auto* const payload = static_cast<std::byte*>(ex.allocate(ccomp::payload_bytes(c, n)));
  ex.copy_from_host(x, in.data(), n * sizeof(float));
  ccomp::encode(ex, c, std::span<float const>(x, n), std::span(payload, ccomp::payload_bytes(c, n)), ws);
  ex.copy_to_host(out.data(), payload, n * sizeof(ccomp::bfloat16));
  ex.deallocate(x);
  ex.deallocate(payload);
  comm.finalize();
  for (auto const v : out)
    if (static_cast<float>(v) != 0.5f) return false;
  return true;
}

}  // namespace

// Without a driver the constructor of cuda_exec says so; with a GPU all is done.
int main() {
  int devices = 0;
  bool const gpu = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  try {
    bool const well = works();
    std::puts(well ? "a GPU has coded" : "wrong results");
    return gpu && well ? 0 : 1;
  } catch (ccomp::cuda_error const& e) {
    std::puts(e.what());
    bool const clear = std::strstr(e.what(), "this machine has no NVIDIA driver") ||
                       std::strstr(e.what(), "no CUDA-capable device is detected");
    return !gpu && clear ? 0 : 1;
  }
}
