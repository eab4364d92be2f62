// A load of 16 bytes from an address that is no multiple of 16.
// asan: misaligned address
#include "planted.hpp"

template <bool Correct> __global__ void kernel(float const* in, float* out) {
  // By reference: clang's UBSan does not look at a plain copy of a struct, g++'s does.
  auto const& v = *reinterpret_cast<float4 const*>(in + (Correct ? 4 : 1));
  *out = v.x;
}

template <bool Correct> int run() {
  device_array<float> const in(std::vector<float>(8, 2.f)), out(1);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 1, in.data(), out.data());
  return verdict(out.values()[0] == 2.f);
}
PLANTED_MAIN
