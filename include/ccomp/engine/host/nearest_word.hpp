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
  run_baseline([&] {
    for (std::size_t v = 0; v < n; ++v) {
      float best = largest_float;
      std::int32_t place = 0;
      for (std::size_t w = 0; w < words.count; ++w) {
        float d = words.halves[w];
        for (std::size_t i = 0; i < Dim; ++i) d = fused_less(d, x[i * stride + v], words.values[w * Dim + i]);
        place = d < best ? static_cast<std::int32_t>(w) : place;
        best = d < best ? d : best;
      }
      at[v] = place;
    }
  });
}

}  // namespace detail
CCOMP_END
