// A word of pinned memory, which the host reads meanwhile, changed by an atomic of the device's scope.
// plain: cuda_sim: kernel kernel, block 0, thread 0, .*atomic_of_the_device.cpp:.*: an atomic of the device's scope
// asan: cuda_sim: kernel kernel, block 0, thread 0, .*atomic_of_the_device.cpp:.*: an atomic of the device's scope
// tsan: cuda_sim: kernel kernel, block 0, thread 0, .*atomic_of_the_device.cpp:.*: an atomic of the device's scope
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* word) {
  if (threadIdx.x != 0) return;
  if constexpr (Correct)
    atomicAdd_system(word, 1u);
  else
    atomicAdd(word, 1u);
}

template <bool Correct> int run() {
  void* p = nullptr;
  if (cudaHostAlloc(&p, sizeof(unsigned), cudaHostAllocMapped) != cudaSuccess) return 4;
  auto* const word = static_cast<unsigned*>(p);
  *word = 0;
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, word);
  cuda_exec().synchronize();
  unsigned const got = *word;
  return cudaFreeHost(p) == cudaSuccess ? verdict(got == 1) : 4;
}
PLANTED_MAIN
