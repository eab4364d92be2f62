// Half of the block meets another barrier than the rest.
// plain: cuda_sim: .*threads meet at different barriers, the other one is .*divergent_barrier.cpp:[0-9]+
// asan: cuda_sim: .*threads meet at different barriers, the other one is .*divergent_barrier.cpp:[0-9]+
// tsan: cuda_sim: .*threads meet at different barriers, the other one is .*divergent_barrier.cpp:[0-9]+
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out) {
  if constexpr (!Correct) {
    if (threadIdx.x < 32) __syncthreads();
  }
  out[threadIdx.x] = 1;
  __syncthreads();
}

template <bool Correct> int run() {
  device_array<int> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(out.values() == std::vector<int>(64, 1));
}
PLANTED_MAIN
