// A barrier is missing between writing and reading shared memory.
// plain: wrong result
// asan: wrong result
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out) {
  CCOMP_SHARED(int[64], s);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  if constexpr (Correct) __syncthreads();
  out[threadIdx.x] = s[63 - threadIdx.x];
}

template <bool Correct> int run() {
  device_array<int> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  auto const got = out.values();
  bool right = true;
  for (int i = 0; i < 64; ++i) right = right && got[static_cast<std::size_t>(i)] == 63 - i;
  return verdict(right);
}
PLANTED_MAIN
