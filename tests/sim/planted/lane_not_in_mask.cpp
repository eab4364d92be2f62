// Lanes take part in a shuffle whose mask does not name them.
// plain: cuda_sim: .*lane [0-9]+ is not in its mask 0x0000ffff
// asan: cuda_sim: .*lane [0-9]+ is not in its mask 0x0000ffff
// tsan: cuda_sim: .*lane [0-9]+ is not in its mask 0x0000ffff
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  out[threadIdx.x] = __shfl_sync(Correct ? ~0u : 0xffffu, threadIdx.x, 5);
}

template <bool Correct> int run() {
  device_array<unsigned> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  return verdict(out.values() == std::vector<unsigned>(32, 5));
}
PLANTED_MAIN
