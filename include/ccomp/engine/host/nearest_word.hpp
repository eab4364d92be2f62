#pragma once
/// The word of a codebook next to each of several vectors; of words as near, the first.
///
/// What is compared is half the squared distance less half the squared length of the vector: the half squared length of the
/// word, less the products of the numbers in their order, by fused multiply-adds. GPUs do the same, so that both find the
/// same word.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/x86.hpp>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// `count` words of a codebook, and half the squared length of each.
struct word_list {
  float const *values, *halves;
  std::size_t count;
};

#if CCOMP_X86_VARIANTS
template <std::size_t Dim, class Floats, class Ints>
[[gnu::always_inline]] inline void find_words_by_lanes(float const* x, std::size_t stride, std::size_t n,
                                                       word_list const& words, std::int32_t* at) {
  constexpr std::size_t width = sizeof(Floats) / sizeof(float), rows = 2;
  for (std::size_t first = 0; first < n; first += rows * width) {
    Floats v[Dim][rows], best[rows];
    Ints place[rows];
    CCOMP_HOST_UNROLL(2)
    for (std::size_t r = 0; r < rows; ++r) {
      CCOMP_HOST_UNROLL(8)
      for (std::size_t i = 0; i < Dim; ++i) load_vector(v[i][r], x + i * stride + first + r * width);
      best[r] = largest_float - Floats{};
      place[r] = Ints{};
    }
    Ints number{};
    for (std::size_t w = 0; w < words.count; ++w, number += 1) {
      float const* const word = words.values + w * Dim;
      CCOMP_HOST_UNROLL(2)
      for (std::size_t r = 0; r < rows; ++r) {
        Floats d = words.halves[w] - Floats{};
        CCOMP_HOST_UNROLL(8)
        for (std::size_t i = 0; i < Dim; ++i) {
          Floats const c = word[i] - Floats{};
          fused_less(d, v[i][r], c);
        }
        place[r] = d < best[r] ? number : place[r];
        best[r] = d < best[r] ? d : best[r];
      }
    }
    CCOMP_HOST_UNROLL(2)
    for (std::size_t r = 0; r < rows; ++r) store_vector(place[r], at + first + r * width);
  }
}

template <std::size_t Dim>
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] void find_words_avx512(float const* x, std::size_t stride, std::size_t n,
                                                                 word_list const& words, std::int32_t* at) {
  find_words_by_lanes<Dim, float_x16, int_x16>(x, stride, n, words, at);
}
template <std::size_t Dim>
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] void find_words_avx2(float const* x, std::size_t stride, std::size_t n,
                                                             word_list const& words, std::int32_t* at) {
  find_words_by_lanes<Dim, float_x8, int_x8>(x, stride, n, words, at);
}
#endif

/// Without an instruction for it, a fused multiply-add is a call. So products and sums that are rounded apart tell which words
/// may be the nearest, and those alone are compared as above.
template <std::size_t Dim>
[[gnu::always_inline]] inline void find_words_plainly(float const* x, std::size_t stride, std::size_t n,
                                                      word_list const& words, std::int32_t* at) {
  float largest_half = 0, largest[Dim] = {};
  for (std::size_t w = 0; w < words.count; ++w) {
    largest_half = words.halves[w] > largest_half ? words.halves[w] : largest_half;
    for (std::size_t i = 0; i < Dim; ++i) {
      float const size = bits_float(magnitude_key(words.values[w * Dim + i]));
      largest[i] = size > largest[i] ? size : largest[i];
    }
  }
  for (std::size_t v = 0; v < n; ++v) {
    float z[Dim], bound = largest_half;
    for (std::size_t i = 0; i < Dim; ++i) {
      z[i] = x[i * stride + v];
      bound = add(bound, mul(bits_float(magnitude_key(z[i])), largest[i]));
    }
    auto const roughly = [&](std::size_t w) {
      float d = words.halves[w];
      for (std::size_t i = 0; i < Dim; ++i) d = sub(d, mul(z[i], words.values[w * Dim + i]));
      return d;
    };
    float least = largest_float;
    for (std::size_t w = 0; w < words.count; ++w) {
      float const d = roughly(w);
      least = d < least ? d : least;
    }
    // Each of Dim <= 8 steps is off by 3 halves of the last bit of `bound` at most, for this word and for the nearest:
    // 48 halves in all.
    float const end = add(least, add(mul(bound, 0x1p-18f), 0x1p-140f));
    float best = largest_float;
    std::int32_t place = 0;
    for (std::size_t w = 0; w < words.count; ++w) {
      if (roughly(w) > end) continue;
      float d = words.halves[w];
      for (std::size_t i = 0; i < Dim; ++i) d = fused_less(d, z[i], words.values[w * Dim + i]);
      place = d < best ? static_cast<std::int32_t>(w) : place;
      best = d < best ? d : best;
    }
    at[v] = place;
  }
}

/// at[v] = the number of the word next to vector v, of n vectors, a multiple of 32; number i of vector v is
/// x[i * stride + v].
template <std::size_t Dim>
void find_words(instruction_set isa, float const* x, std::size_t stride, std::size_t n, word_list const& words,
                std::int32_t* at) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) return find_words_avx512<Dim>(x, stride, n, words, at);
  if (isa == instruction_set::avx2) return find_words_avx2<Dim>(x, stride, n, words, at);
#endif
  static_cast<void>(isa);
  run_baseline([&] { find_words_plainly<Dim>(x, stride, n, words, at); });
}

}  // namespace detail
CCOMP_END
