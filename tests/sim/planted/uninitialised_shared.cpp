// The last word of shared memory is read and was never written.
// plain: wrong result
// asan: wrong result
// tsan: wrong result
#include "planted.hpp"

template <bool Correct> __global__ void kernel(float* out) {
  CCOMP_SHARED(float[64], s);
  if (threadIdx.x < (Correct ? 64u : 63u)) s[threadIdx.x] = 0.f;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}

template <bool Correct> int run() {
  device_array<float> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(out.values() == std::vector<float>(64, 0.f));
}
PLANTED_MAIN
