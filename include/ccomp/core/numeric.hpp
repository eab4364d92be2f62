#pragma once
/// Arithmetic that gives the same bits on every compiler, instruction set and device.

#include <ccomp/core/config.hpp>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

inline constexpr std::uint32_t nan_bits = 0x7fc00000u;
inline constexpr std::uint32_t inf_bits = 0x7f800000u;
inline constexpr float largest_float = 0x1.fffffep127f;

CCOMP_HD constexpr std::uint32_t float_bits(float x) { return __builtin_bit_cast(std::uint32_t, x); }
CCOMP_HD constexpr float bits_float(std::uint32_t u) { return __builtin_bit_cast(float, u); }
CCOMP_HD constexpr float canonical_nan() { return bits_float(nan_bits); }
/// |x| as an integer key: orders like the magnitude, NaN above Inf.
CCOMP_HD constexpr std::uint32_t magnitude_key(float x) { return float_bits(x) & 0x7fffffffu; }
CCOMP_HD constexpr bool is_finite(float x) { return magnitude_key(x) < inf_bits; }
CCOMP_HD constexpr bool is_finite(double x) { return (__builtin_bit_cast(std::uint64_t, x) << 1) < 0x7ffull << 53; }
/// A power of two: multiplying by its inverse divides exactly.
CCOMP_HD constexpr bool has_exact_inverse(float x) { return (float_bits(x) & 0x7fffffu) == 0; }
CCOMP_HD constexpr float canonical(float x) { return x == x ? x : canonical_nan(); }

// A NaN that arithmetic makes has other bits on a GPU (0x7fffffff) than on a CPU, whence `canonical` before anything is
// stored. A simulator of GPUs, included before, sees to it that its kernels are no better.
#if defined(CCOMP_CUDA_SIM)
#define CCOMP_ROUNDED(x) ::cuda_sim::rounded(x)
#else
#define CCOMP_ROUNDED(x) x
#endif

// A product that feeds a sum goes through these: no compiler may contract the pair into a fused multiply-add.
// (g++ contracts across statements: the engine's entry points switch that off; clang: the pragma; nvcc: the
// intrinsics.)
CCOMP_HD inline float mul(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  CCOMP_NO_CONTRACTION return CCOMP_ROUNDED(a * b);
#endif
}
CCOMP_HD inline float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  CCOMP_NO_CONTRACTION return CCOMP_ROUNDED(a + b);
#endif
}
CCOMP_HD inline float sub(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, -b);
#else
  CCOMP_NO_CONTRACTION return CCOMP_ROUNDED(a - b);
#endif
}
/// A product. If finite numbers have a product that does not fit, the largest float.
CCOMP_HD inline float saturating_mul(float a, float b) {
  float const y = mul(a, b);
  std::uint32_t const largest = (inf_bits - 1) | (float_bits(y) & 0x80000000u);
  return magnitude_key(y) == inf_bits && is_finite(a) && is_finite(b) ? bits_float(largest) : y;
}
/// old + sign * term. Taking away (sign < 0: error feedback) leaves `old` where nothing finite would remain: what was
/// not sent as a finite value stays in the residual.
CCOMP_HD inline float add_signed(float old, float sign, float term) {
  float const sum = add(old, mul(sign, term));
  return sign > 0 || is_finite(sum) ? sum : old;
}
CCOMP_HD inline double mul(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  CCOMP_NO_CONTRACTION return a * b;
#endif
}
CCOMP_HD inline double add(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(a, b);
#else
  CCOMP_NO_CONTRACTION return a + b;
#endif
}
/// x - y z, rounded once.
CCOMP_HD inline float fused_less(float x, float y, float z) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(-y, z, x);
#else
  return __builtin_fmaf(-y, z, x);
#endif
}
CCOMP_HD inline float div(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return CCOMP_ROUNDED(a / b);
#endif
}

#undef CCOMP_ROUNDED

CCOMP_HD inline double sqrt(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

/// 1 / sqrt(2^k), rounded to nearest.
CCOMP_HD constexpr float inverse_sqrt_of_power(std::uint32_t k) {
  return bits_float(((127u - (k + 1) / 2) << 23) | (k % 2 ? 0x3504f3u : 0u));
}

/// The bits of a bfloat16 next to x, rounded by 16 random bits: up as likely as x lies near it, and never to Inf.
CCOMP_HD constexpr std::uint16_t stochastic_bfloat16(float x, std::uint32_t random) {
  std::uint32_t const u = float_bits(x), up = u + random;
  bool const overflow = (up & 0x7fffffffu) >= inf_bits;
  return static_cast<std::uint16_t>((overflow ? u : up) >> 16);
}

/// The low bits of x + offset rounded to the nearest even integer, for |x| + offset < 2^21. The sum with 1.5 * 2^23
/// rounds exactly and leaves the integer in the low bits of the float: two additions, which vectorise everywhere,
/// where rint is a library call per value without SSE 4.1, and a conversion at a quarter of the speed on a GPU.
CCOMP_HD inline std::uint32_t round_bits(float x, std::int32_t offset = 0) {
  return float_bits(add(x, add(12582912.0f, static_cast<float>(offset))));
}

/// Scales keep 16 significant bits, rounded up, so that code x scale is exact for codes of up to 8 bits, and the
/// largest value never falls off the end of the code range. `x` is finite and not negative; the result is finite.
CCOMP_HD constexpr float round_up_scale(float x) {
  std::uint32_t const up = (float_bits(x) + 0xffu) & ~0xffu;
  return bits_float(up < 0x7f7fff00u ? up : 0x7f7fff00u);
}

/// The scale that puts `top` (finite, not negative) on code `levels`.
CCOMP_HD inline float scale_for(float top, float levels) {
  float const exact = div(top, levels), up = round_up_scale(exact);
  // Rounded up at the very end of the range, the largest code would decode to Inf: there, down.
  return is_finite(mul(up, levels)) ? up : bits_float(float_bits(exact) & ~0xffu);
}

/// 1 / scale, or 0 if the scale is not usable. The division is unconditional, so that it leaves the loop over a block's
/// values, and the loop vectorises.
CCOMP_HD inline float inverse_or_zero(float scale, bool usable) {
  return div(1.0f, usable ? scale : bits_float(inf_bits));
}

/// Blocks whose maximum lies below this decode to zero: their scale, or its inverse, would leave the normal range.
inline constexpr std::uint32_t tiny_bits = (127u - 118u) << 23;

}  // namespace detail
CCOMP_END
