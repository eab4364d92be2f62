// Thread 0 of every block writes one word; each block has had barriers, which order nothing between blocks.
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  __syncthreads();
  __syncthreads();
  if (threadIdx.x == 0) out[Correct ? blockIdx.x : 0] = 1;
  __syncthreads();
}

template <bool Correct> int run() {
  device_array<unsigned> const out(3);
  launch(cuda_exec(), "kernel", kernel<Correct>, 3, 64, out.data());
  auto const got = out.values();
  return verdict(got[0] == 1 && (!Correct || got[2] == 1));
}
PLANTED_MAIN
