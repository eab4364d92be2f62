#pragma once
/// Tiles of any element type to float and back.

#include <ccomp/core/numeric.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/host/random.hpp>

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
inline constexpr std::int32_t half_overflow = 0x477ff000;  // the bits of 65520: from here on a float rounds to Inf
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX512)]] inline std::size_t widen_half_avx512(float16 const* in, std::size_t n,
                                                                               float* out) {
  std::size_t i = 0;
  __m512 const nan = _mm512_set1_ps(canonical_nan());
  for (; i + 16 <= n; i += 16) {
    __m512 const x = _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(in + i)));
    _mm512_storeu_ps(out + i, _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x, nan));
  }
  return i;
}
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX512)]] inline std::size_t narrow_half_avx512(float const* in, std::size_t n,
                                                                                float16* out) {
  std::size_t i = 0;
  __m256i const nan = _mm256_set1_epi16(static_cast<short>(float16(canonical_nan()).bits));
  for (; i + 16 <= n; i += 16) {
    __m512 const x = _mm512_loadu_ps(in + i);
    __m256i h = _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512i const a = _mm512_and_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    __mmask16 const beyond = _mm512_cmplt_epu32_mask(_mm512_sub_epi32(a, _mm512_set1_epi32(half_overflow)),
                                                     _mm512_set1_epi32(static_cast<int>(inf_bits) - half_overflow));
    h = _mm256_mask_sub_epi16(h, beyond, h, _mm256_set1_epi16(1));  // the code of Inf, less one
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_mask_blend_epi16(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), h, nan));
  }
  return i;
}
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX2)]] inline std::size_t widen_half_avx2(float16 const* in, std::size_t n,
                                                                           float* out) {
  std::size_t i = 0;
  __m256 const nan = _mm256_set1_ps(canonical_nan());
  for (; i + 8 <= n; i += 8) {
    __m256 const x = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(in + i)));
    _mm256_storeu_ps(out + i, _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
  }
  return i;
}
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX2)]] inline std::size_t narrow_half_avx2(float const* in, std::size_t n,
                                                                            float16* out) {
  std::size_t i = 0;
  __m128i const half_nan = _mm_set1_epi16(static_cast<short>(float16(canonical_nan()).bits));
  for (; i + 8 <= n; i += 8) {
    __m256 const x = _mm256_loadu_ps(in + i);
    __m128i h = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256i const a = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
    __m256i const beyond = _mm256_and_si256(_mm256_cmpgt_epi32(a, _mm256_set1_epi32(half_overflow - 1)),
                                            _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(inf_bits)), a));
    __m256i const bad = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m128i const beyond16 = _mm_packs_epi32(_mm256_castsi256_si128(beyond), _mm256_extracti128_si256(beyond, 1));
    __m128i const bad16 = _mm_packs_epi32(_mm256_castsi256_si128(bad), _mm256_extracti128_si256(bad, 1));
    h = _mm_add_epi16(h, beyond16);  // the code of Inf, less one
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_blendv_epi8(h, half_nan, bad16));
  }
  return i;
}
#endif

inline void widen(instruction_set isa, float16 const* in, std::size_t n, float* out) {
  std::size_t done = 0;
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) done = widen_half_avx512(in, n, out);
  if (isa == instruction_set::avx2) done = widen_half_avx2(in, n, out);
#endif
  run(isa, [=] { widen_loop(in + done, n - done, out + done); });
}
inline void widen(instruction_set isa, bfloat16 const* in, std::size_t n, float* out) {
  run(isa, [=] { widen_loop(in, n, out); });
}
inline void narrow(instruction_set isa, float const* in, std::size_t n, float16* out) {
  std::size_t done = 0;
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) done = narrow_half_avx512(in, n, out);
  if (isa == instruction_set::avx2) done = narrow_half_avx2(in, n, out);
#endif
  run(isa, [=] { narrow_loop(in + done, n - done, out + done); });
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
