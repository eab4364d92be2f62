// A load of 16 bytes by __ldg from an address that is no multiple of 16.
// plain: cuda_sim: .*misaligned_ldg.cpp:[0-9]+: an access of 16 bytes at an address that is no multiple of 16
// asan: cuda_sim: .*misaligned_ldg.cpp:[0-9]+: an access of 16 bytes at an address that is no multiple of 16
// tsan: cuda_sim: .*misaligned_ldg.cpp:[0-9]+: an access of 16 bytes at an address that is no multiple of 16
#include "planted.hpp"

template <bool Correct> __global__ void kernel(float const* in, float* out) {
  *out = __ldg(reinterpret_cast<float4 const*>(in + (Correct ? 4 : 1))).x;
}

template <bool Correct> int run() {
  device_array<float> const in(std::vector<float>(8, 2.f)), out(1);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, 1, in.data(), out.data());
  return verdict(out.values()[0] == 2.f);
}
PLANTED_MAIN
