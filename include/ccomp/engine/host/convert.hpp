#pragma once
/// Tiles of any element type to float and back.

#include <ccomp/core/numeric.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/host/x86.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

template <class T> void widen_loop(T const* CCOMP_RESTRICT in, std::size_t n, float* CCOMP_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]);
}
/// What is written is rounded to nearest even, and saturates: finite values stay finite.
template <class T> void narrow_loop(float const* CCOMP_RESTRICT in, std::size_t n, T* CCOMP_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = T::saturated(in[i]);
}

#if CCOMP_X86_VARIANTS
// Hardware conversion of half precision; it keeps a NaN's payload, which is made canonical here, and makes Inf of what is
// too large, which becomes the largest number here. (bfloat16 and float need only integer operations, which the plain
// loop vectorises.)
inline constexpr std::int32_t half_largest = 0x477fe000;  // the bits of 65504
inline constexpr std::int16_t half_inf = 0x7c00, half_nan = 0x7fff;
// NaNs are told by their bits: clang compares halves instead of floats, one at a time.
template <class Float, class Int, class Half>
[[gnu::always_inline]] inline std::size_t widen_halves_as(float16 const* in, std::size_t n, float* out) {
  constexpr std::size_t lanes = sizeof(Float) / sizeof(float);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Half half;
    Float x;
    Int bits;
    load_vector(half, in + i);
    widen_halves(half, x);
    load_vector(bits, &x);
    bits =
        (bits & 0x7fffffff) > static_cast<std::int32_t>(inf_bits) ? Int{} + static_cast<std::int32_t>(nan_bits) : bits;
    store_vector(bits, out + i);
  }
  return i;
}
template <class Float, class Int, class Half>
[[gnu::always_inline]] inline std::size_t narrow_to_halves_as(float const* in, std::size_t n, float16* out) {
  constexpr std::size_t lanes = sizeof(Float) / sizeof(float);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Int bits;
    load_vector(bits, in + i);
    Int const a = bits & 0x7fffffff;
    // No comparisons here: of several, g++ 12 makes scalar code for AVX-512. A difference tells by its sign.
    Int const over = a - half_largest, finite = (a - static_cast<std::int32_t>(inf_bits)) >> 31;
    Int const capped = half_largest + (over & (over >> 31));
    bits = (bits ^ a) | (a & ~finite) | (capped & finite);
    Float x;
    Half half;
    load_vector(x, &bits);
    narrow_to_halves(x, half);
    half = (half & 0x7fff) > half_inf ? Half{} + half_nan : half;
    store_vector(half, out + i);
  }
  return i;
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] inline std::size_t widen_half_avx512(float16 const* in, std::size_t n,
                                                                               float* out) {
  return widen_halves_as<float_x16, int_x16, short_x16>(in, n, out);
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] inline std::size_t narrow_half_avx512(float const* in, std::size_t n,
                                                                                float16* out) {
  return narrow_to_halves_as<float_x16, int_x16, short_x16>(in, n, out);
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] inline std::size_t widen_half_avx2(float16 const* in, std::size_t n,
                                                                           float* out) {
  return widen_halves_as<float_x8, int_x8, short_x8>(in, n, out);
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] inline std::size_t narrow_half_avx2(float const* in, std::size_t n,
                                                                            float16* out) {
  return narrow_to_halves_as<float_x8, int_x8, short_x8>(in, n, out);
}
#endif

inline void widen([[maybe_unused]] instruction_set isa, float16 const* in, std::size_t n, float* out) {
  std::size_t done = 0;
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) done = widen_half_avx512(in, n, out);
  if (isa == instruction_set::avx2) done = widen_half_avx2(in, n, out);
#endif
  if (done < n) run_baseline([=] { widen_loop(in + done, n - done, out + done); });  // without f16c, or a few values
}
inline void widen(instruction_set isa, bfloat16 const* in, std::size_t n, float* out) {
  run(isa, [=] { widen_loop(in, n, out); });
}
inline void narrow([[maybe_unused]] instruction_set isa, float const* in, std::size_t n, float16* out) {
  std::size_t done = 0;
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) done = narrow_half_avx512(in, n, out);
  if (isa == instruction_set::avx2) done = narrow_half_avx2(in, n, out);
#endif
  if (done < n) run_baseline([=] { narrow_loop(in + done, n - done, out + done); });
}
inline void narrow(instruction_set isa, float const* in, std::size_t n, bfloat16* out) {
  run(isa, [=] { narrow_loop(in, n, out); });
}

/// Values [first, first + n) of a tensor as floats: in place where they are floats, else converted into `buffer`.
inline float const* load(instruction_set isa, const_values from, std::size_t first, std::size_t n, float* buffer) {
  switch (from.type) {
    case element_type::float16:
      widen(isa, static_cast<float16 const*>(from.data) + first, n, buffer);
      return buffer;
    case element_type::bfloat16:
      widen(isa, static_cast<bfloat16 const*>(from.data) + first, n, buffer);
      return buffer;
    default:
      return static_cast<float const*>(from.data) + first;
  }
}
/// Writes floats as values [first, first + n) of a tensor.
inline void store(instruction_set isa, float const* from, std::size_t n, values to, std::size_t first) {
  switch (to.type) {
    case element_type::float16:
      return narrow(isa, from, n, static_cast<float16*>(to.data) + first);
    case element_type::bfloat16:
      return narrow(isa, from, n, static_cast<bfloat16*>(to.data) + first);
    default:
      if (auto* const out = static_cast<float*>(to.data) + first; out != from)
        std::memcpy(out, from, n * sizeof(float));
  }
}

}  // namespace detail
CCOMP_END
