// Shared memory is used again before all have read it.
// plain: wrong result
// asan: wrong result
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  CCOMP_SHARED(unsigned[2], warps);
  unsigned total = 0;
  for (unsigned round = 1; round <= 2; ++round) {
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = round;
    __syncthreads();
    total += warps[0] + warps[1];
    if constexpr (Correct) __syncthreads();
  }
  out[threadIdx.x] = total;
}

template <bool Correct> int run() {
  device_array<unsigned> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(out.values() == std::vector<unsigned>(64, 6));
}
PLANTED_MAIN
