#pragma once
/// Fills buffers with the bits of `random_bits16` and `random_words`, eight or four counters at a time.

#include <ccomp/core/random.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#if CCOMP_X86_VARIANTS
#include <immintrin.h>
#endif

CCOMP_BEGIN
namespace detail {

#if CCOMP_X86_VARIANTS
#if defined(__clang__)
#define CCOMP_INTRINSICS(targets) gnu::target(targets)
#else
#define CCOMP_INTRINSICS(targets) gnu::target(targets), gnu::optimize("O3")
#endif

// A 64-bit lane carries one counter's 32-bit word: products need no reassembly, and the four 16-bit halves of one
// counter's words form exactly one lane of the output. Four vectors at once hide the latency of the multiplications.
// (Masked forms with a full mask: g++ 12 warns about its own header in the plain ones.)
[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX512)]] inline void fill_random16_avx512(random_stream const& s,
                                                                           std::uint64_t counter, std::uint16_t* out,
                                                                           std::size_t groups) {
  __m512i const m0 = _mm512_set1_epi64(philox_factor0), m1 = _mm512_set1_epi64(philox_factor1),
                half = _mm512_set1_epi64(0xffff);
  __m512i const lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  for (std::size_t g = 0; g < groups; ++g, counter += random_group_counters, out += random_group) {
    __m512i a[4], b[4], c[4], d[4];
    for (int v = 0; v < 4; ++v) {
      a[v] = lane + _mm512_set1_epi64(static_cast<long long>(counter + 8u * static_cast<unsigned>(v)));
      b[v] = _mm512_set1_epi64(s.tensor);
      c[v] = _mm512_set1_epi64(s.rank);
      d[v] = _mm512_maskz_slli_epi64(0xff, _mm512_maskz_srli_epi64(0xff, a[v], 32), 8) | _mm512_set1_epi64(s.phase);
    }
    std::uint32_t k0 = s.key[0], k1 = s.key[1];
    CCOMP_HOST_UNROLL(10)
    for (int round = 0; round < philox_rounds; ++round) {
      auto const key0 = _mm512_set1_epi64(k0), key1 = _mm512_set1_epi64(k1);
      CCOMP_HOST_UNROLL(4)
      for (int v = 0; v < 4; ++v) {
        auto const p = _mm512_maskz_mul_epu32(0xff, m0, a[v]), q = _mm512_maskz_mul_epu32(0xff, m1, c[v]);
        a[v] = _mm512_maskz_srli_epi64(0xff, q, 32) ^ b[v] ^ key0;
        b[v] = q;
        c[v] = _mm512_maskz_srli_epi64(0xff, p, 32) ^ d[v] ^ key1;
        d[v] = p;
      }
      k0 += philox_weyl0;
      k1 += philox_weyl1;
    }
    CCOMP_HOST_UNROLL(4)
    for (int v = 0; v < 4; ++v) {
      auto const low = (a[v] & half) | _mm512_maskz_slli_epi64(0xff, b[v] & half, 16) |
                       _mm512_maskz_slli_epi64(0xff, c[v] & half, 32) | _mm512_maskz_slli_epi64(0xff, d[v], 48);
      __m512i const upper = _mm512_set1_epi64(0xffff0000);
      auto const high = _mm512_maskz_srli_epi64(0xff, a[v] & upper, 16) | (b[v] & upper) |
                        _mm512_maskz_slli_epi64(0xff, c[v] & upper, 16) |
                        _mm512_maskz_slli_epi64(0xff, d[v] & upper, 32);
      _mm512_storeu_si512(out + 32 * v, low);
      _mm512_storeu_si512(out + 128 + 32 * v, high);
    }
  }
}

[[CCOMP_INTRINSICS(CCOMP_TARGET_AVX2)]] inline void fill_random16_avx2(random_stream const& s, std::uint64_t counter,
                                                                       std::uint16_t* out, std::size_t groups) {
  __m256i const m0 = _mm256_set1_epi64x(philox_factor0), m1 = _mm256_set1_epi64x(philox_factor1),
                half = _mm256_set1_epi64x(0xffff);
  __m256i const lane = _mm256_setr_epi64x(0, 1, 2, 3), upper = _mm256_set1_epi64x(0xffff0000);
  for (std::size_t part = 0; part < 4 * groups; ++part, counter += 8) {
    __m256i a[2], b[2], c[2], d[2];
    for (int v = 0; v < 2; ++v) {
      a[v] = lane + _mm256_set1_epi64x(static_cast<long long>(counter + 4u * static_cast<unsigned>(v)));
      b[v] = _mm256_set1_epi64x(s.tensor);
      c[v] = _mm256_set1_epi64x(s.rank);
      d[v] = _mm256_slli_epi64(_mm256_srli_epi64(a[v], 32), 8) | _mm256_set1_epi64x(s.phase);
    }
    std::uint32_t k0 = s.key[0], k1 = s.key[1];
    CCOMP_HOST_UNROLL(10)
    for (int round = 0; round < philox_rounds; ++round) {
      auto const key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
      CCOMP_HOST_UNROLL(2)
      for (int v = 0; v < 2; ++v) {
        auto const p = _mm256_mul_epu32(m0, a[v]), q = _mm256_mul_epu32(m1, c[v]);
        a[v] = _mm256_srli_epi64(q, 32) ^ b[v] ^ key0;
        b[v] = q;
        c[v] = _mm256_srli_epi64(p, 32) ^ d[v] ^ key1;
        d[v] = p;
      }
      k0 += philox_weyl0;
      k1 += philox_weyl1;
    }
    std::uint16_t* const at = out + part / 4 * random_group + part % 4 * 32;
    for (int v = 0; v < 2; ++v) {
      auto const low = (a[v] & half) | _mm256_slli_epi64(b[v] & half, 16) | _mm256_slli_epi64(c[v] & half, 32) |
                       _mm256_slli_epi64(d[v], 48);
      auto const high = _mm256_srli_epi64(a[v] & upper, 16) | (b[v] & upper) | _mm256_slli_epi64(c[v] & upper, 16) |
                        _mm256_slli_epi64(d[v] & upper, 32);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 16 * v), low);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + random_group / 2 + 16 * v), high);
    }
  }
}
#endif

/// `random_bits16(s, first + i)` for i in [0, count), rounded up to whole groups of 256; `first` is a multiple of 256.
inline void fill_random16(instruction_set isa, random_stream const& s, std::uint64_t first, std::uint16_t* out,
                          std::size_t count) {
  std::size_t const groups = (count + random_group - 1) / random_group;
  std::uint64_t counter = first / random_group * random_group_counters;
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) return fill_random16_avx512(s, counter, out, groups);
  if (isa == instruction_set::avx2) return fill_random16_avx2(s, counter, out, groups);
#endif
  static_cast<void>(isa);
  for (std::size_t g = 0; g < groups; ++g, out += random_group)
    for (std::size_t t = 0; t < random_group_counters; ++t) {
      philox_words const words = random_words(s, counter++);
      for (std::size_t w = 0; w < 4; ++w) {
        out[4 * t + w] = static_cast<std::uint16_t>(words.w[w]);
        out[random_group / 2 + 4 * t + w] = static_cast<std::uint16_t>(words.w[w] >> 16);
      }
    }
}

/// The 128 bits of counters [counter, counter + count), four words each. A few counters serve thousands of values
/// (one bit each), so the plain loop is enough.
inline void fill_random_words(instruction_set isa, random_stream const& s, std::uint64_t counter, std::uint32_t* out,
                              std::size_t count) {
  run(isa, [=] {
    for (std::size_t i = 0; i < count; ++i) {
      philox_words const words = random_words(s, counter + i);
      for (std::size_t w = 0; w < 4; ++w) out[4 * i + w] = words.w[w];
    }
  });
}

}  // namespace detail
CCOMP_END
