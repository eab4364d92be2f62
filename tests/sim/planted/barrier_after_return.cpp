// Threads behind the end return before the barrier.
// plain: cuda_sim: .*this thread ended while [0-9]+ others wait|cuda_sim: .*barrier after [0-9]+ threads of the block have ended
// asan: cuda_sim: .*this thread ended while [0-9]+ others wait|cuda_sim: .*barrier after [0-9]+ threads of the block have ended
// tsan: cuda_sim: .*this thread ended while [0-9]+ others wait|cuda_sim: .*barrier after [0-9]+ threads of the block have ended
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out, unsigned n) {
  if constexpr (!Correct) {
    if (threadIdx.x >= n) return;
  }
  __syncthreads();
  if (threadIdx.x < n) out[threadIdx.x] = 1;
}

template <bool Correct> int run() {
  device_array<int> const out(50);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data(), 50u);
  return verdict(out.values() == std::vector<int>(50, 1));
}
PLANTED_MAIN
