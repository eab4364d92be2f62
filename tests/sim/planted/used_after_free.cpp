// Device memory is used by a kernel after it was freed in the stream's order.
// asan: AddressSanitizer: heap-use-after-free
#include "planted.hpp"

__global__ void fill(unsigned* out) { out[threadIdx.x] = 1; }

template <bool Correct> int run() {
  cuda_exec const ex;
  auto* const p = static_cast<unsigned*>(ex.allocate(64 * sizeof(unsigned)));
  if (!Correct) ex.deallocate(p);
  launch(ex, "fill", fill, 1, 64, p);
  if (Correct) ex.deallocate(p);
  ex.synchronize();
  return 0;
}
PLANTED_MAIN
