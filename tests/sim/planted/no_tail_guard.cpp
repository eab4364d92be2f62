// The last block writes behind the end of the output.
// asan: AddressSanitizer: heap-buffer-overflow
#include "planted.hpp"

template <bool Correct> __global__ void kernel(int* out, unsigned n) {
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (!Correct || i < n) out[i] = 1;
}

template <bool Correct> int run() {
  device_array<int> const out(100);
  launch(cuda_exec(), "kernel", kernel<Correct>, 2, 64, out.data(), 100u);
  return verdict(out.values() == std::vector<int>(100, 1));
}
PLANTED_MAIN
