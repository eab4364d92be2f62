// A write one behind the end of shared memory.
// asan: AddressSanitizer: use-after-poison
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out) {
  CCOMP_SHARED(int[64], s);
  int* const first = s;
  first[threadIdx.x + (Correct ? 0 : 1)] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}

template <bool Correct> int run() {
  device_array<int> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(!Correct || out.values() == std::vector<int>(64, 1));
}
PLANTED_MAIN
