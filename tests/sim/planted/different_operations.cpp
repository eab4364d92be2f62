// Half of a warp votes while the other half shuffles, all with the full mask.
// plain: cuda_sim: .*lanes meet in different warp operations
// asan: cuda_sim: .*lanes meet in different warp operations
// tsan: cuda_sim: .*lanes meet in different warp operations
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  if (Correct || threadIdx.x < 16)
    out[threadIdx.x] = __shfl_sync(~0u, 7u, 0);
  else
    out[threadIdx.x] = __ballot_sync(~0u, 1) & 7u;
}

template <bool Correct> int run() {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  return verdict(out.values() == std::vector<unsigned>(32, 7));
}
PLANTED_MAIN
