// Threads add to one word without an atomic.
// tsan: data race
#include "planted.hpp"

template <bool Correct> __global__ void kernel(unsigned* out) {
  if constexpr (Correct)
    atomicAdd(out, 1u);
  else
    *out += 1;
}

template <bool Correct> int run() {
  device_array<unsigned> const out(1);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 64, out.data());
  return verdict(out.values()[0] == 64);
}
PLANTED_MAIN
