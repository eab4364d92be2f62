// Linked to the real CUDA runtime, or to the real NCCL: without a driver the program says so in one sentence.
#if defined(WITH_NCCL)
#include <ccomp/comm/nccl.hpp>
#else
#include <ccomp/exec/cuda.hpp>
#endif
#include <cstdio>

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) {
    std::puts("skipped: what a program says without a driver; here a GPU answers");
    return 77;
  }
  try {
#if defined(WITH_NCCL)
    ccomp::nccl_communicator const comm(ccomp::nccl_communicator::unique_id(), 0, 1, 0);
#else
    ccomp::cuda_exec const ex{};
#endif
  } catch (ccomp::cuda_error const& e) {
    std::puts(e.what());
    return 0;
  }
  std::puts("nothing was thrown");
  return 1;
}
