#pragma once
/// What a quantizer wants to know of a block before it can code it.
///
/// Two kinds. Order-free: `add` and `merge` on integer keys, exact in any order. Sums: `term(k, x)` for each of `sums`
/// totals; engines keep 128 partial sums (value i goes to partial i mod 128) and fold them by halves, so that every
/// engine rounds in the same way.

#include <ccomp/core/numeric.hpp>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN

/// max |x|; NaN ranks above Inf.
struct max_abs {
  std::uint32_t key = 0;
  CCOMP_HD void add(float x) {
    std::uint32_t const k = detail::magnitude_key(x);
    key = k > key ? k : key;
  }
  CCOMP_HD void merge(max_abs o) { key = o.key > key ? o.key : key; }
  CCOMP_HD bool finite() const { return key < detail::inf_bits; }
  CCOMP_HD float value() const { return detail::bits_float(key); }
};

/// The smallest and the largest value, and the largest magnitude (which tells of NaN).
struct min_max {
  std::int32_t low_key = 0x7fffffff, high_key = -0x7fffffff - 1;
  std::uint32_t key = 0;
  CCOMP_HD static std::int32_t order(float x) {
    auto const i = static_cast<std::int32_t>(detail::float_bits(x));
    return i ^ ((i >> 31) & 0x7fffffff);
  }
  CCOMP_HD static float value_of(std::int32_t k) {
    return detail::bits_float(static_cast<std::uint32_t>(k ^ ((k >> 31) & 0x7fffffff)));
  }
  CCOMP_HD void add(float x) {
    std::int32_t const o = order(x);
    std::uint32_t const k = detail::magnitude_key(x);
    low_key = o < low_key ? o : low_key;
    high_key = o > high_key ? o : high_key;
    key = k > key ? k : key;
  }
  CCOMP_HD void merge(min_max o) {
    low_key = o.low_key < low_key ? o.low_key : low_key;
    high_key = o.high_key > high_key ? o.high_key : high_key;
    key = o.key > key ? o.key : key;
  }
  CCOMP_HD bool finite() const { return key < detail::inf_bits; }
  CCOMP_HD float low() const { return value_of(low_key); }
  CCOMP_HD float high() const { return value_of(high_key); }
};

/// sum |x|.
struct sum_abs {
  static constexpr int sums = 1;
  using partial = float;
  float sum[1] = {};
  CCOMP_HD static float term(int, float x) { return detail::bits_float(detail::magnitude_key(x)); }
  CCOMP_HD bool finite() const { return detail::is_finite(sum[0]); }
};

/// sum x^2, in double.
struct sum_squares {
  static constexpr int sums = 1;
  using partial = double;
  double sum[1] = {};
  CCOMP_HD static double term(int, float x) { return detail::mul(static_cast<double>(x), static_cast<double>(x)); }
  CCOMP_HD bool finite() const { return sum[0] - sum[0] == 0; }
};

/// sum x and sum x^2, in double.
struct moments {
  static constexpr int sums = 2;
  using partial = double;
  double sum[2] = {};
  CCOMP_HD static double term(int k, float x) {
    auto const d = static_cast<double>(x);
    return k == 0 ? d : detail::mul(d, d);
  }
  CCOMP_HD bool finite() const { return sum[1] - sum[1] == 0; }
};

/// Sum of the values that are not negative, sum and number of those that are; zero of either sign is not.
struct sign_sums {
  static constexpr int sums = 3;  // non-negative sum, negative sum, number of negatives
  using partial = float;
  float sum[3] = {};
  CCOMP_HD static float term(int k, float x) {
    std::uint32_t const u = detail::float_bits(x), negative = x < 0 ? 0xffffffffu : 0u;  // masks: no branch in the loop
    if (k == 0) return detail::bits_float(u & ~negative);
    if (k == 1) return detail::bits_float(u & negative);
    return detail::bits_float(detail::float_bits(1.0f) & negative);
  }
  CCOMP_HD bool finite() const { return detail::is_finite(sum[0]) && detail::is_finite(sum[1]); }
};

/// Two statistics of the same block.
template <class A, class B> struct both {
  using first_statistic = A;
  using second_statistic = B;
  A first;
  B second;
  CCOMP_HD bool finite() const { return first.finite() && second.finite(); }
};

CCOMP_END
