// A shuffle is taken for a barrier: it orders no memory.
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  CCOMP_SHARED(unsigned[32], s);
  s[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 3);
  if constexpr (Correct)
    __syncwarp();
  else
    static_cast<void>(__ballot_sync(~0u, 1));
  out[threadIdx.x] = s[threadIdx.x ^ 1u];
}

template <bool Correct> int run() {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  return verdict(out.values() == std::vector<unsigned>(32, 3));
}
PLANTED_MAIN
