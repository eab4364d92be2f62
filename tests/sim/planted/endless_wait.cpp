// A block waits for one that runs later.
// plain: cuda_sim: .*a loop waits for what does not come
// asan: cuda_sim: .*a loop waits for what does not come
// tsan: cuda_sim: .*a loop waits for what does not come
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* flags) {
  if (threadIdx.x != 0) return;
  atomicExch(&flags[blockIdx.x], 1u);
  unsigned const other = Correct ? blockIdx.x : 1 - blockIdx.x;
  while (atomicAdd(&flags[other], 0u) == 0) __nanosleep(100);
}

template <bool Correct> int run() {
  device_array<unsigned> const flags(2);
  launch(cuda_exec(), "kernel", kernel<Correct>, 2, 32, flags.data());
  return verdict(flags.values() == std::vector<unsigned>(2, 1));
}
PLANTED_MAIN
