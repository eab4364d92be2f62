// More static shared memory than a block can have.
// plain: cuda_sim: .*shared memory of the kernel takes more than 49152 bytes
// asan: cuda_sim: .*shared memory of the kernel takes more than 49152 bytes
// tsan: cuda_sim: .*shared memory of the kernel takes more than 49152 bytes
#include "planted.hpp"

template <bool Correct> __global__ void kernel(char* out) {
  CCOMP_SHARED(char[Correct ? 1024 : 1028], a);
  CCOMP_SHARED(char[47 * 1024], b);
  a[threadIdx.x] = b[threadIdx.x] = 1;
  out[threadIdx.x] = static_cast<char>(a[threadIdx.x] + b[threadIdx.x]);
}

template <bool Correct> int run() {
  device_array<char> const out(32);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 32, out.data());
  return verdict(out.values() == std::vector<char>(32, 2));
}
PLANTED_MAIN
