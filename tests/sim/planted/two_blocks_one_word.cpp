// Two blocks write one word, each with another of its threads.
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  if (threadIdx.x == blockIdx.x) out[Correct ? blockIdx.x : 0] = 1;
}

template <bool Correct> int run() {
  device_array<unsigned> const out(2);
  launch(cuda_exec(), "kernel", kernel<Correct>, 2, 64, out.data());
  auto const got = out.values();
  return verdict(got[0] == 1 && (!Correct || got[1] == 1));
}
PLANTED_MAIN
