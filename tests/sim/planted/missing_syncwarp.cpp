// Lanes read what another lane of the warp wrote, without __syncwarp.
// plain: wrong result
// asan: wrong result
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  CCOMP_SHARED(unsigned[32], s);
  s[threadIdx.x] = threadIdx.x;
  if constexpr (Correct) __syncwarp();
  out[threadIdx.x] = s[threadIdx.x ^ 1u];
}

template <bool Correct> int run() {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  auto const got = out.values();
  bool right = true;
  for (unsigned i = 0; i < 32; ++i) right = right && got[i] == (i ^ 1u);
  return verdict(right);
}
PLANTED_MAIN
