#pragma once
/// The fast Walsh-Hadamard transform of blocks that are powers of two.
///
/// One level of stride h replaces a = x[i], b = x[i + h] by a + b and a - b; strides ascend, the normalisation comes
/// last. Every variant computes these very sums, so all give the same bits, however many levels a trip through memory
/// takes at once.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/random.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

CCOMP_BEGIN
namespace detail {

#if defined(__clang__)
#define CCOMP_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CCOMP_INDEPENDENT _Pragma("GCC ivdep")
#endif

constexpr int log2_of(std::size_t power) { return static_cast<int>(std::countr_zero(power)); }

/// 1 / sqrt(m), rounded to nearest.
constexpr float inverse_sqrt(std::size_t m) { return inverse_sqrt_of_power(static_cast<std::uint32_t>(log2_of(m))); }

// Written as packs, not loops: g++ 12 vectorises the loop over j only if nothing is left to unroll in it.
template <std::size_t Stride, std::size_t... K>
[[gnu::always_inline]] inline void butterfly_level(float* v, std::index_sequence<K...>) {
  auto const one = [v](std::size_t k) __attribute__((always_inline)) {
    float const a = v[k], b = v[k + Stride];
    v[k] = add(a, b);
    v[k + Stride] = sub(a, b);
  };
  (one(K / Stride * 2 * Stride + K % Stride), ...);
}
template <bool Last, std::size_t... K>
[[gnu::always_inline]] inline void butterflies_at(float* at, std::size_t h, float factor, std::index_sequence<K...>) {
  constexpr std::size_t points = sizeof...(K);
  constexpr std::make_index_sequence<points / 2> pairs;
  float v[] = {at[K * h]...};
  if constexpr (points > 1) butterfly_level<1>(v, pairs);
  if constexpr (points > 2) butterfly_level<2>(v, pairs);
  if constexpr (points > 4) butterfly_level<4>(v, pairs);
  ((at[K * h] = Last ? mul(v[K], factor) : v[K]), ...);
}

#if defined(__clang__)  // says so where it is told not to optimise
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif
/// `Levels` levels from stride h on, over n values in one trip. Last: also multiplies by `factor`.
template <int Levels, bool Last>
[[gnu::always_inline]] inline void butterflies(float* x, std::size_t n, std::size_t h, float factor) {
  constexpr std::size_t points = std::size_t{1} << Levels;
  for (std::size_t base = 0; base < n; base += points * h) {
    CCOMP_INDEPENDENT
    for (std::size_t j = 0; j < h; ++j)
      butterflies_at<Last>(x + base + j, h, factor, std::make_index_sequence<points>{});
  }
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
/// The levels h, 2h, ... m / 2 of blocks of m, then the normalisation.
[[gnu::always_inline]] inline void upper_levels(float* x, std::size_t n, std::size_t m, std::size_t h, float factor) {
  while (m / h > 8) {
    if (m / h == 16) {
      butterflies<2, false>(x, n, h, factor);
      h *= 4;
    } else {
      butterflies<3, false>(x, n, h, factor);
      h *= 8;
    }
  }
  if (m / h == 8) return butterflies<3, true>(x, n, h, factor);
  if (m / h == 4) return butterflies<2, true>(x, n, h, factor);
  if (m / h == 2) return butterflies<1, true>(x, n, h, factor);
  for (std::size_t i = 0; i < n; ++i) x[i] = mul(x[i], factor);
}

#if CCOMP_X86_VARIANTS
// Within a register: swap the halves of each pair, then add it to the original times 1 or -1. The product is exact, so
// the fused operation rounds once, like the plain sum.
// (Masked forms with a full mask: g++ 12 warns about its own header in the plain ones.)
template <std::size_t Registers>
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX512)]] void lower_levels_avx512(float* x, std::size_t n) {
  __m512 const one = _mm512_set1_ps(1.0f);
  // No lambda: behind nvcc's front end g++ forgets what such a one is compiled for.
  __m512 const s1 = _mm512_mask_sub_ps(one, 0xaaaa, _mm512_setzero_ps(), one),
               s2 = _mm512_mask_sub_ps(one, 0xcccc, _mm512_setzero_ps(), one),
               s4 = _mm512_mask_sub_ps(one, 0xf0f0, _mm512_setzero_ps(), one),
               s8 = _mm512_mask_sub_ps(one, 0xff00, _mm512_setzero_ps(), one);
  for (std::size_t base = 0; base < n; base += 16 * Registers) {
    __m512 v[Registers];
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) {
      __m512 a = _mm512_loadu_ps(x + base + 16 * k);
      a = _mm512_fmadd_ps(a, s1, _mm512_maskz_permute_ps(0xffff, a, 0xb1));
      a = _mm512_fmadd_ps(a, s2, _mm512_maskz_permute_ps(0xffff, a, 0x4e));
      a = _mm512_fmadd_ps(a, s4, _mm512_maskz_shuffle_f32x4(0xffff, a, a, 0xb1));
      v[k] = _mm512_fmadd_ps(a, s8, _mm512_maskz_shuffle_f32x4(0xffff, a, a, 0x4e));
    }
    CCOMP_HOST_UNROLL(3)
    for (std::size_t s = 1; s < Registers; s *= 2) {
      CCOMP_HOST_UNROLL(8)
      for (std::size_t k = 0; k < Registers; ++k)
        if ((k & s) == 0) {
          __m512 const a = v[k], b = v[k + s];
          v[k] = a + b;
          v[k + s] = a - b;
        }
    }
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) _mm512_storeu_ps(x + base + 16 * k, v[k]);
  }
}

template <std::size_t Registers>
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX2)]] void lower_levels_avx2(float* x, std::size_t n) {
  __m256 const s1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1), s2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1),
               s4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
  for (std::size_t base = 0; base < n; base += 8 * Registers) {
    __m256 v[Registers];
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) {
      __m256 a = _mm256_loadu_ps(x + base + 8 * k);
      a = _mm256_fmadd_ps(a, s1, _mm256_permute_ps(a, 0xb1));
      a = _mm256_fmadd_ps(a, s2, _mm256_permute_ps(a, 0x4e));
      v[k] = _mm256_fmadd_ps(a, s4, _mm256_permute2f128_ps(a, a, 1));
    }
    CCOMP_HOST_UNROLL(3)
    for (std::size_t s = 1; s < Registers; s *= 2) {
      CCOMP_HOST_UNROLL(8)
      for (std::size_t k = 0; k < Registers; ++k)
        if ((k & s) == 0) {
          __m256 const a = v[k], b = v[k + s];
          v[k] = a + b;
          v[k + s] = a - b;
        }
    }
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) _mm256_storeu_ps(x + base + 8 * k, v[k]);
  }
}
#endif

/// The levels below h, where h values fill at most eight registers; returns the h reached.
inline std::size_t lower_levels(instruction_set isa, float* x, std::size_t n, std::size_t m) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512 && m >= 16) {
    if (m >= 128) return lower_levels_avx512<8>(x, n), 128;
    if (m == 64) return lower_levels_avx512<4>(x, n), 64;
    if (m == 32) return lower_levels_avx512<2>(x, n), 32;
    return lower_levels_avx512<1>(x, n), 16;
  }
  if (isa == instruction_set::avx2 && m >= 8) {
    if (m >= 64) return lower_levels_avx2<8>(x, n), 64;
    if (m == 32) return lower_levels_avx2<4>(x, n), 32;
    if (m == 16) return lower_levels_avx2<2>(x, n), 16;
    return lower_levels_avx2<1>(x, n), 8;
  }
#endif
  if (m < 16) return 1;
  run(isa, [=] {
    butterflies<2, false>(x, n, 1, 1.0f);
    butterflies<2, false>(x, n, 4, 1.0f);
  });
  return 16;
}

/// Transforms each block of m values (a power of two) of n (a multiple of m); orthonormal, its own inverse.
inline void fwht(instruction_set isa, float* x, std::size_t n, std::size_t m) {
  std::size_t const h = lower_levels(isa, x, n, m);
  run(isa, [=, factor = inverse_sqrt(m)] { upper_levels(x, n, m, h, factor); });
}

/// Flips the values whose bit is set: value i takes bit i % 32 of draw i / 32 of the stream. `first`, the index of
/// x[0] in its tensor, is a multiple of sign_group.
inline void flip_signs(instruction_set isa, random_stream const& s, float* x, std::size_t n, std::uint64_t first) {
  constexpr std::size_t words = tile_values / 32;
  std::uint32_t bits[words];
  for (std::size_t at = 0; at < n; at += 32 * words) {
    std::size_t const count = n - at < 32 * words ? n - at : 32 * words;
    fill_random_words(isa, s, (first + at) / sign_group, bits, ceil_div(count, sign_group));
    run(isa, [b = bits, y = x + at, count] {
      auto const flip = [](float v, std::uint32_t word, std::size_t j) {
        return bits_float(float_bits(v) ^ ((word << (31 - j)) & 0x80000000u));
      };
      std::size_t i = 0;
      for (; i + 32 <= count; i += 32)
        for (std::size_t j = 0; j < 32; ++j) y[i + j] = flip(y[i + j], b[i / 32], j);
      for (std::size_t j = 0; i + j < count; ++j) y[i + j] = flip(y[i + j], b[i / 32], j);
    });
  }
}

}  // namespace detail
CCOMP_END
