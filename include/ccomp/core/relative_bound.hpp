#pragma once
/// The bound of a threshold that is relative to the root mean square, and where it begins to select what exceeds its room.

#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/random.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

CCOMP_BEGIN
namespace detail {

/// A bound is a value, or relative to the root mean square.
inline void expect_bound(std::string_view stage, float value, float relative) {
  auto const expect = [&](float bound, char const* setting) {
    expects(bound >= 0 && is_finite(bound),
            [&] { return sentence(stage, ": ", setting, " must be finite and at least 0, got ", print_value(bound)); });
  };
  expect(value, "value");
  expect(relative, "relative");
  expects(value > 0 || relative > 0, [&] { return sentence(stage, ": one of value and relative must be above 0"); });
}

/// x, or zero where x is not finite; by a mask, so that loops over it vectorise.
CCOMP_HD constexpr float finite_or_zero(float x) {
  return bits_float(float_bits(x) & (magnitude_key(x) < inf_bits ? 0xffffffffu : 0u));
}

/// sum of the squares of what is finite, in double.
struct finite_squares {
  static constexpr int sums = 1;
  using partial = double;
  double sum[1] = {};
  CCOMP_HD static double term(int, float x) {
    auto const d = static_cast<double>(finite_or_zero(x));
    return mul(d, d);
  }
};

/// Of `count` values, rounded to float; of a block that is not zero at least the smallest float, and infinity of one that
/// holds what is not finite.
CCOMP_HD inline float root_mean_square(double squares, std::size_t count, bool bad) {
  if (bad) return bits_float(inf_bits);
  auto const root = static_cast<float>(sqrt(squares / static_cast<double>(count)));
  return squares > 0 && !(root > 0) ? bits_float(1) : root;
}

/// relative times the root mean square of n values, or the largest magnitude if that is smaller.
CCOMP_HD inline float relative_bound(float relative, double squares, std::size_t n, float largest) {
  double const bound = mul(static_cast<double>(relative), sqrt(squares / static_cast<double>(n)));
  return bound < static_cast<double>(largest) ? static_cast<float>(bound) : largest;
}

/// The smallest magnitude_key that reaches a bound. Zeros never do.
CCOMP_HD inline std::uint32_t reaching_key(float bound) {
  std::uint32_t const key = magnitude_key(bound);
  return key > 0 ? key : 1;
}

/// Of more values than fit, the first from this place on are selected: another place in every step.
CCOMP_HD constexpr std::uint64_t overflow_start(step at, std::uint64_t tensor, std::uint64_t n) {
  return hash64(hash64(0, at), tensor) % n;
}

}  // namespace detail
CCOMP_END
