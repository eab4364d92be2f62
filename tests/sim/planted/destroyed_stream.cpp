// A call on a stream that was destroyed, whose handle CUDA no longer defines.
// plain: cudart_sim: cudaMemsetAsync on a stream that was destroyed
// asan: cudart_sim: cudaMemsetAsync on a stream that was destroyed
// tsan: cudart_sim: cudaMemsetAsync on a stream that was destroyed
#include "planted.hpp"

template <bool Correct> int run() {
  device_array<unsigned> const x(2);
  cudaStream_t s = nullptr;
  if (cudaStreamCreate(&s) != cudaSuccess) return 4;
  if (!Correct) static_cast<void>(cudaStreamDestroy(s));
  cuda_exec const ex(s);
  ex.fill_zero(x.data(), sizeof(unsigned));
  if (Correct) static_cast<void>(cudaStreamDestroy(s));
  return verdict(x.values()[0] == 0);
}
PLANTED_MAIN
