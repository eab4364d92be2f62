#pragma once
/// Computes a block's statistic with loops that vectorise and round alike on every engine.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/statistic.hpp>

#include <cstddef>
#include <utility>

CCOMP_BEGIN
namespace detail {

/// Many sums become one as the values of a tile do: 128 partial sums, then a halving tree, so that a GPU need not add them
/// one by one. `term(i)` gives number i.
template <class Term> double sum_as_in_tile(std::size_t count, Term const& term) {
  double p[partial_sums] = {};
  for (std::size_t i = 0; i < count; ++i) p[i % partial_sums] = add(p[i % partial_sums], term(i));
  for (std::size_t half = partial_sums / 2; half > 0; half /= 2)
    for (std::size_t j = 0; j < half; ++j) p[j] = add(p[j], p[j + half]);
  return p[0];
}

/// `Sums` below partial_sums: for at most so many values, of which it gives the same sum.
template <class Statistic, int K, std::size_t Sums = partial_sums>
[[gnu::always_inline]] inline typename Statistic::partial scan_sum(float const* x, std::size_t n) {
  typename Statistic::partial p[Sums] = {};
  std::size_t i = 0;
  for (; i + Sums <= n; i += Sums) {
    CCOMP_HOST_UNROLL(16)
    for (std::size_t j = 0; j < Sums; ++j) p[j] = add(p[j], Statistic::term(K, x[i + j]));
  }
  for (std::size_t j = 0; i + j < n; ++j) p[j] = add(p[j], Statistic::term(K, x[i + j]));
  for (std::size_t half = Sums / 2; half > 0; half /= 2)
    for (std::size_t j = 0; j < half; ++j) p[j] = add(p[j], p[j + half]);
  return p[0];
}

template <class Statistic> [[gnu::always_inline]] inline Statistic scan(float const* x, std::size_t n) {
  if constexpr (requires { typename Statistic::first_statistic; }) {
    return {scan<typename Statistic::first_statistic>(x, n), scan<typename Statistic::second_statistic>(x, n)};
  } else if constexpr (requires { typename Statistic::partial; }) {
    Statistic result;
    // The number of the sum is a constant: clang vectorises no loop that asks for it.
    [&]<int... K>(std::integer_sequence<int, K...>) __attribute__((always_inline)) {
      ((result.sum[K] = scan_sum<Statistic, K>(x, n)), ...);
    }(std::make_integer_sequence<int, Statistic::sums>{});
    return result;
  } else {
    Statistic result;
    for (std::size_t i = 0; i < n; ++i) result.add(x[i]);
    return result;
  }
}

}  // namespace detail
CCOMP_END
