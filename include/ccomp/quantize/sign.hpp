#pragma once

#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/statistic.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

CCOMP_BEGIN

/// The magnitude that a sign stands for.
enum class sign_scale { l1_mean, two_means, l2 };
constexpr auto setting_names(sign_scale) { return std::array<std::string_view, 3>{"l1_mean", "two_means", "l2"}; }

namespace detail {

CCOMP_HD inline std::uint32_t sign_code(float x) { return x < 0 ? 1u : 0u; }
/// Means that are too small for the scales of other quantizers are zero here too.
CCOMP_HD inline float flush_tiny(float x) { return magnitude_key(x) < tiny_bits ? 0.0f : x; }

/// One scale for both signs.
struct signed_scale_pieces {
  struct parameters {
    float scale;
  };
  CCOMP_HD std::uint32_t code(float x, parameters, std::uint32_t) const { return sign_code(x); }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    return bits_float(float_bits(p.scale) ^ (code << 31));
  }
  CCOMP_HD signed_scale_pieces decoder() const { return *this; }
};
struct l1_mean_pieces : signed_scale_pieces {
  using statistic = sum_abs;
  CCOMP_HD parameters fit(sum_abs s, std::size_t n) const { return {flush_tiny(div(s.sum[0], static_cast<float>(n)))}; }
};
struct l2_mean_pieces : signed_scale_pieces {
  using statistic = sum_squares;
  CCOMP_HD parameters fit(sum_squares s, std::size_t n) const {
    return {flush_tiny(static_cast<float>(sqrt(s.sum[0] / static_cast<double>(n))))};
  }
};
/// One mean for each sign.
struct two_means_pieces {
  using statistic = sign_sums;
  struct parameters {
    float positive, negative;
  };
  CCOMP_HD parameters fit(sign_sums s, std::size_t n) const {
    float const negatives = s.sum[2], others = sub(static_cast<float>(n), negatives);
    return {others > 0 ? flush_tiny(div(s.sum[0], others)) : 0.0f,
            negatives > 0 ? flush_tiny(div(s.sum[1], negatives)) : 0.0f};
  }
  CCOMP_HD std::uint32_t code(float x, parameters, std::uint32_t) const { return sign_code(x); }
  CCOMP_HD float value(std::uint32_t code, parameters p) const { return code != 0 ? p.negative : p.positive; }
};

}  // namespace detail

/// Keeps the sign of each value and one or two means of its block. Meant for error feedback.
///
/// Shapes:      in [n] -> signs [n] of 1 bit, one scale per block (two_means: two)
/// Payload:     pad16(4 ceil(n/block)) (8 for two_means) + pad16(ceil(n / 8)) bytes; depends on n only. With blocks of
///              1024, the scales add 3 % (two_means: 6 %) to the signs; such blocks are still smaller than the layers
///              of a model
/// Scale:       l1_mean: mean |x|: of all scales, it has the least squared error
///              two_means: mean of the negative values and mean of the others (1-bit SGD); never worse than l1_mean
///              l2: L2 norm / sqrt(block), which keeps the norm (1-bit Adam); the error may exceed the values
/// Ties:        zero, of either sign, counts as positive
/// Guarantee:   l1_mean, two_means: |x - Q(x)|^2 <= (1 - 1/block) |x|^2 in L2 norms over a block, a contraction;
///              l2: at most 2 (1 - 1/sqrt(block)) |x|^2; not a contraction, so error feedback refuses it
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    make their block NaN, and no other block. So does a sum of |x| beyond the largest float (not with l2).
///              Means below 2^-118 are zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Karimireddy et al., "Error Feedback Fixes SignSGD and other Gradient Compression Schemes", ICML 2019
///              (l1_mean); Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014 (two_means); Tang et
///              al., "1-bit Adam", ICML 2021 (l2)
struct sign_quantize {
  static constexpr std::string_view name = "sign_quantize";
  static constexpr int bits = 1;

  std::uint32_t block = 1024;
  sign_scale scale = sign_scale::l1_mean;

  static constexpr auto fields() {
    return std::tuple{field{"block", &sign_quantize::block}, field{"scale", &sign_quantize::scale}};
  }
  template <class F> void specialise(F const& f) const {
    if (scale == sign_scale::l1_mean)
      f(detail::l1_mean_pieces{});
    else if (scale == sign_scale::two_means)
      f(detail::two_means_pieces{});
    else
      f(detail::l2_mean_pieces{});
  }
  /// The squared error of n values is at most 1 - contraction times their squared norm: below 0 where it may exceed it.
  [[nodiscard]] double contraction(std::size_t n) const {
    if (n == 0) return 0;
    auto const m = static_cast<double>(n < block ? n : block);
    return scale == sign_scale::l2 ? 2 / std::sqrt(m) - 1 : 1 / m;
  }
};

template <> inline constexpr bool detail::standard_stage<sign_quantize> = true;

CCOMP_END
