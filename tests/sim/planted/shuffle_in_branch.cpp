// A shuffle with the full mask where only half of the warp comes.
// plain: cuda_sim: .*(lane [0-9]+ waits for it in a shuffle|the mask 0xffffffff names lane [0-9]+, which has ended)
// asan: cuda_sim: .*(lane [0-9]+ waits for it in a shuffle|the mask 0xffffffff names lane [0-9]+, which has ended)
// tsan: cuda_sim: .*(lane [0-9]+ waits for it in a shuffle|the mask 0xffffffff names lane [0-9]+, which has ended)
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  out[threadIdx.x] = 0;
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(Correct ? 0xffffu : 0xffffffffu, threadIdx.x, 1);
}

template <bool Correct> int run() {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  auto const got = out.values();
  return verdict(got[0] == 1 && got[15] == 14 && got[16] == 0);
}
PLANTED_MAIN
