// The last block to arrive adds up what the others wrote, without fences.
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* partials, unsigned* arrived, unsigned* out) {
  if (threadIdx.x != 0) return;
  partials[blockIdx.x] = blockIdx.x + 1;
  if constexpr (Correct) __threadfence();
  if (atomicAdd(arrived, 1u) != gridDim.x - 1) return;
  if constexpr (Correct) __threadfence();
  unsigned sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partials[b];
  *out = sum;
}

template <bool Correct> int run() {
  device_array<unsigned> const partials(4), arrived(1), out(1);
  launch(cuda_exec(), "kernel", kernel<Correct>, 4, 32, partials.data(), arrived.data(), out.data());
  return verdict(out.values()[0] == 10);
}
PLANTED_MAIN
