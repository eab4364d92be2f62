#pragma once
/// The fast Walsh-Hadamard transform of blocks that are powers of two.
///
/// One level of stride h replaces a = x[i], b = x[i + h] by a + b and a - b; strides ascend, the normalisation comes
/// last. Every variant computes these very sums, so all give the same bits, however many levels a trip through memory
/// takes at once.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/random.hpp>
#include <ccomp/engine/host/x86.hpp>

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
/// 1 in the lanes whose number has no bit of Distance, -1 in the others.
template <int Distance, class V> [[gnu::always_inline]] inline void alternating_signs(V& signs) {
  for (std::size_t lane = 0; lane < sizeof(V) / sizeof(float); ++lane)
    signs[lane] = lane & std::size_t{Distance} ? -1.0f : 1.0f;
}
/// Within a register: lanes change places with their partners, then each is added to the original times 1 or -1. The
/// product is exact, so that a fused operation rounds like the plain sum.
template <int Distance, class V> [[gnu::always_inline]] inline void level_in_register(V& x) {
  V signs, partners;
  alternating_signs<Distance>(signs);
  swap_lanes<Distance>(x, partners);
  x = x * signs + partners;
}
template <class V, std::size_t Registers> [[gnu::always_inline]] inline void lower_levels_as(float* x, std::size_t n) {
  constexpr std::size_t lanes = sizeof(V) / sizeof(float);
  for (std::size_t base = 0; base < n; base += lanes * Registers) {
    V v[Registers];
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) {
      load_vector(v[k], x + base + lanes * k);
      level_in_register<1>(v[k]);
      level_in_register<2>(v[k]);
      level_in_register<4>(v[k]);
      if constexpr (lanes == 16) level_in_register<8>(v[k]);
    }
    CCOMP_HOST_UNROLL(3)
    for (std::size_t s = 1; s < Registers; s *= 2) {
      CCOMP_HOST_UNROLL(8)
      for (std::size_t k = 0; k < Registers; ++k)
        if ((k & s) == 0) {
          V const a = v[k], b = v[k + s];
          v[k] = a + b;
          v[k + s] = a - b;
        }
    }
    CCOMP_HOST_UNROLL(8)
    for (std::size_t k = 0; k < Registers; ++k) store_vector(v[k], x + base + lanes * k);
  }
}
template <std::size_t Registers>
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] void lower_levels_avx512(float* x, std::size_t n) {
  lower_levels_as<float_x16, Registers>(x, n);
}
template <std::size_t Registers>
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] void lower_levels_avx2(float* x, std::size_t n) {
  lower_levels_as<float_x8, Registers>(x, n);
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
      for (; i + 32 <= count; i += 32) {
        CCOMP_HOST_UNROLL(4)
        for (std::size_t j = 0; j < 32; ++j) y[i + j] = flip(y[i + j], b[i / 32], j);
      }
      for (std::size_t j = 0; i + j < count; ++j) y[i + j] = flip(y[i + j], b[i / 32], j);
    });
  }
}

}  // namespace detail
CCOMP_END
