// One warp waits at a barrier, the other one for a lane that waits there, too.
// plain: cuda_sim: kernel kernel, block 0: deadlock.*wait at .*deadlock.cpp:[0-9]+ in a barrier.*wait at .*deadlock.cpp:[0-9]+ in __syncwarp
// asan: cuda_sim: kernel kernel, block 0: deadlock.*wait at .*deadlock.cpp:[0-9]+ in a barrier.*wait at .*deadlock.cpp:[0-9]+ in __syncwarp
// tsan: cuda_sim: kernel kernel, block 0: deadlock.*wait at .*deadlock.cpp:[0-9]+ in a barrier.*wait at .*deadlock.cpp:[0-9]+ in __syncwarp
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out) {
  if (threadIdx.x >= 33 || Correct) __syncwarp();
  __syncthreads();
  out[threadIdx.x] = 1;
}

template <bool Correct> int run() {
  device_array<int> const out(64);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(out.values() == std::vector<int>(64, 1));
}
PLANTED_MAIN
