#pragma once
/// Fills buffers with the bits of `random_bits16` and `random_words`, eight or four counters at a time.

#include <ccomp/core/random.hpp>
#include <ccomp/engine/host/x86.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

#if CCOMP_X86_VARIANTS
/// A 64-bit lane carries one counter's 32-bit word: products need no reassembly, and the four 16-bit halves of one
/// counter's words form exactly one lane of the output. Several vectors at once hide the latency of the multiplications.
template <class V, unsigned Vectors>
[[gnu::always_inline]] inline void fill_random16_as(random_stream const& s, std::uint64_t counter, std::uint16_t* out,
                                                    std::size_t groups) {
  constexpr unsigned lanes = sizeof(V) / 8, step = Vectors * lanes, parts = random_group_counters / step;
  V const m0 = V{} + std::uint64_t{philox_factor0}, m1 = V{} + std::uint64_t{philox_factor1};
  V lane{};
  for (unsigned i = 0; i < lanes; ++i) lane[i] = i;
  for (std::size_t part = 0; part < parts * groups; ++part, counter += step) {
    V a[Vectors], b[Vectors], c[Vectors], d[Vectors];
    CCOMP_HOST_UNROLL(4)
    for (unsigned v = 0; v < Vectors; ++v) {
      a[v] = lane + (counter + lanes * v);
      b[v] = V{} + std::uint64_t{s.tensor};
      c[v] = V{} + std::uint64_t{s.rank};
      d[v] = ((a[v] >> 32) << 8) | (V{} + std::uint64_t{s.phase});
    }
    std::uint32_t k0 = s.key[0], k1 = s.key[1];
    CCOMP_HOST_UNROLL(10)
    for (int round = 0; round < philox_rounds; ++round) {
      V const key0 = V{} + std::uint64_t{k0}, key1 = V{} + std::uint64_t{k1};
      CCOMP_HOST_UNROLL(4)
      for (unsigned v = 0; v < Vectors; ++v) {
        V p, q;
        multiply_low_halves(m0, a[v], p);
        multiply_low_halves(m1, c[v], q);
        a[v] = (q >> 32) ^ b[v] ^ key0;
        b[v] = q;
        c[v] = (p >> 32) ^ d[v] ^ key1;
        d[v] = p;
      }
      k0 += philox_weyl0;
      k1 += philox_weyl1;
    }
    std::uint16_t* const at = out + part / parts * random_group + part % parts * (4 * step);
    V const half = V{} + std::uint64_t{0xffff}, upper = V{} + std::uint64_t{0xffff0000};
    CCOMP_HOST_UNROLL(4)
    for (unsigned v = 0; v < Vectors; ++v) {
      V const low = (a[v] & half) | ((b[v] & half) << 16) | ((c[v] & half) << 32) | (d[v] << 48);
      V const high = ((a[v] & upper) >> 16) | (b[v] & upper) | ((c[v] & upper) << 16) | ((d[v] & upper) << 32);
      store_vector(low, at + 4 * lanes * v);
      store_vector(high, at + random_group / 2 + 4 * lanes * v);
    }
  }
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] inline void fill_random16_avx512(random_stream const& s,
                                                                           std::uint64_t counter, std::uint16_t* out,
                                                                           std::size_t groups) {
  fill_random16_as<word_x8, 4>(s, counter, out, groups);
}
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] inline void fill_random16_avx2(random_stream const& s, std::uint64_t counter,
                                                                       std::uint16_t* out, std::size_t groups) {
  fill_random16_as<word_x4, 2>(s, counter, out, groups);
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
      CCOMP_HOST_UNROLL(4)
      for (std::size_t w = 0; w < 4; ++w) out[4 * i + w] = words.w[w];
    }
  });
}

}  // namespace detail
CCOMP_END
