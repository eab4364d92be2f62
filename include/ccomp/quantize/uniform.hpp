#pragma once

#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/statistic.hpp>
#include <ccomp/core/types.hpp>

#include <array>
#include <cstdint>
#include <string>

CCOMP_BEGIN

/// The range of the levels: symmetric about zero, or from the smallest to the largest value of the block.
enum class code_range { symmetric, min_max };
constexpr auto setting_names(code_range) { return std::array<std::string_view, 2>{"symmetric", "min_max"}; }

namespace detail {

/// Symmetric codes: -levels .. levels, stored with `bias` = levels + 1 added.
struct symmetric_codes {
  std::int32_t levels, bias;

  struct parameters {
    float scale;
  };
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    return mul(static_cast<float>(static_cast<std::int32_t>(code) - bias), p.scale);
  }
  CCOMP_HD symmetric_codes decoder() const { return *this; }

  /// The code without bias, in integers: 16 bits of fraction meet 16 random bits, and nothing can be contracted.
  CCOMP_HD static std::int32_t drawn(float scaled, std::uint32_t random) {
    return (static_cast<std::int32_t>(mul(scaled, 65536.0f)) + static_cast<std::int32_t>(random)) >> 16;
  }
  /// Of values that do not round to more than `levels`.
  CCOMP_HD std::uint32_t nearest(float scaled) const {
    return round_bits(scaled, bias) & static_cast<std::uint32_t>(2 * bias - 1);
  }
};
template <rounding Round> struct symmetric_pieces : symmetric_codes {
  static constexpr bool stochastic = Round == rounding::stochastic;

  using statistic = max_abs;
  /// Rounded up, so that nothing rounds to more than `levels`.
  CCOMP_HD parameters fit(max_abs m, std::size_t) const {
    return {m.key < tiny_bits ? 0.0f : scale_for(m.value(), static_cast<float>(levels))};
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t random) const {
    float const scaled = mul(x, inverse_or_zero(p.scale, p.scale > 0));
    if constexpr (stochastic) {
      std::int32_t const c = drawn(scaled, random);
      return static_cast<std::uint32_t>((c < -levels ? -levels : c > levels ? levels : c) + bias);
    } else {
      return nearest(scaled);
    }
  }
};

/// Symmetric codes whose range may end below the block's maximum, at a multiple of its deviation; what lies beyond gets
/// the last code. Where the range ends at the maximum, the codes are those of symmetric_pieces. The rounding is told at
/// run time: nvcc takes a fifth longer for each set of pieces.
struct clipped_pieces : symmetric_codes {
  static constexpr bool stochastic = true;
  bool at_random;
  float clip;

  using statistic = both<max_abs, sum_squares>;
  CCOMP_HD parameters fit(statistic s, std::size_t n) const {
    float const top = s.first.value();
    auto const sigma = static_cast<float>(sqrt(s.second.sum[0] / static_cast<double>(n)));
    float const bound = mul(sigma, clip), limit = clip > 0 && bound < top ? bound : top;
    return {float_bits(limit) < tiny_bits ? 0.0f : scale_for(limit, static_cast<float>(levels))};
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t random) const {
    float const scaled = mul(x, inverse_or_zero(p.scale, p.scale > 0)), end = static_cast<float>(levels);
    float const clipped = scaled < -end ? -end : scaled > end ? end : scaled;
    return at_random ? static_cast<std::uint32_t>(drawn(clipped, random) + bias) : nearest(clipped);
  }
};

/// Min-max codes: 0 .. levels, counted from the low end and placed about the middle, so that no difference or product
/// exceeds half the block's range, which itself may exceed the largest float.
struct min_max_codes {
  std::int32_t levels;

  struct parameters {
    float middle, scale;
  };
  CCOMP_HD float half() const { return mul(static_cast<float>(levels), 0.5f); }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    return add(p.middle, mul(sub(static_cast<float>(static_cast<std::int32_t>(code)), half()), p.scale));
  }
  CCOMP_HD min_max_codes decoder() const { return *this; }
};
template <rounding Round> struct min_max_pieces : min_max_codes {
  static constexpr bool stochastic = Round == rounding::stochastic;
  static constexpr std::uint32_t least_scale_bits = 0x00800000u;  // 2^-126: the inverse of a smaller one would overflow

  using statistic = min_max;
  CCOMP_HD parameters fit(min_max m, std::size_t) const {
    if (m.key < tiny_bits) return {0.0f, 0.0f};
    float const low = mul(m.low(), 0.5f), high = mul(m.high(), 0.5f), middle = add(low, high);
    float const exact = div(sub(high, low), half()), up = round_up_scale(exact), reach = mul(up, half());
    // Rounded up at the very end of the range, an end would decode to Inf: there, down.
    bool const fits = is_finite(add(middle, reach)) && is_finite(sub(middle, reach));
    return {middle, fits ? up : bits_float(float_bits(exact) & ~0xffu)};
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t random) const {
    float const inverse = inverse_or_zero(p.scale, float_bits(p.scale) >= least_scale_bits);
    float const above = add(mul(sub(x, p.middle), inverse), half());
    if constexpr (stochastic) {
      std::int32_t const c =
          (static_cast<std::int32_t>(mul(above, 65536.0f)) + static_cast<std::int32_t>(random)) >> 16;
      return static_cast<std::uint32_t>(c < 0 ? 0 : c > levels ? levels : c);
    } else {
      float const reached = above < 0.0f ? 0.0f : above;  // the ends may come out a rounding error off
      std::uint32_t const c = round_bits(reached) & 0x1ffu;
      return c > static_cast<std::uint32_t>(levels) ? static_cast<std::uint32_t>(levels) : c;
    }
  }
};

void expect_clip(std::string_view stage, float clip);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void expect_clip(std::string_view stage, float clip) {
  expects(clip == 0 || (clip >= 0.01f && clip <= 1e6f),
          [&] { return sentence(stage, ": clip must be 0 (none) or from 0.01 to 1e6, got ", print_value(clip)); });
}
#endif

}  // namespace detail

/// Rounds each value to one of 2^Bits evenly spaced levels that span its block.
///
/// Shapes:      in [n] -> codes [n] of Bits bits, per block one scale (symmetric) or middle and scale (min_max)
/// Payload:     pad16(4 ceil(n/block)) (8 for min_max) + pad16(ceil(n Bits / 8)) bytes; depends on n only
/// Range:       symmetric (Bits >= 2): (-L..L) scale, L = 2^(Bits-1) - 1, stored as code + L + 1; scale = max|x| / L
///              min_max: middle + (0..L - L/2) scale, L = 2^Bits - 1; middle = (min + max) / 2, scale = (max - min) / L
///              Scales are rounded up to 16 significant bits, so that the extremes are not clipped (down, if an extreme
///              would decode to Inf). min_max blocks whose range is below 2^-126 L decode to their middle
/// clip:        c > 0 (symmetric only): scale = min(max|x|, c sigma) / L, sigma = sqrt(mean x^2) of the block; values
///              beyond L scale get the code L or -L. 0: none
/// Ties:        nearest rounds half to even
/// Guarantee:   nearest: |x - Q(x)| <= scale / 2 (and the rounding of the arithmetic); stochastic: < scale, unbiased to
///              2^-16 scale. With clip, that holds of x clipped to -L scale..L scale; Q is then biased
/// Feedback:    refused for 1 bit, and for 2 bits with min_max or stochastic rounding. Zero is then not a level, or is
///              missed by chance; in a block of small values and one large value, the error may exceed the values
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose L scale < 2^-118 decode to zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096; symmetric with 1 bit; clip is neither 0 nor
///              in 0.01..1e6, or stands beside min_max
/// Source:      Dettmers, "8-Bit Approximations for Parallelism in Deep Learning", ICLR 2016 (block-wise max-abs);
///              Alistarh et al., "QSGD", NeurIPS 2017 (stochastic levels, max norm); Banner, Nahshan, Soudry, "Post
///              Training 4-Bit Quantization of Convolutional Networks for Rapid-Deployment", NeurIPS 2019 (clipping)
template <int Bits> struct uniform_quantize {
  static_assert(Bits >= 1 && Bits <= 8, "ccomp: uniform_quantize takes 1 to 8 bits");
  static constexpr std::string_view name = "uniform_quantize";
  static constexpr int bits = Bits;
  static std::string argument() { return std::to_string(Bits); }

  std::uint32_t block = 512;
  rounding round = rounding::nearest;
  code_range range = Bits == 1 ? code_range::min_max : code_range::symmetric;
  std::uint64_t seed = 0;
  float clip = 0;

  static constexpr auto fields() {
    return std::tuple{field{"block", &uniform_quantize::block}, field{"round", &uniform_quantize::round},
                      field{"range", &uniform_quantize::range}, field{"seed", &uniform_quantize::seed},
                      field{"clip", &uniform_quantize::clip, added_setting}};
  }
  void validate() const {
    detail::expects(Bits > 1 || range == code_range::min_max,
                    "uniform_quantize<1>: symmetric codes need at least 2 bits; use range=min_max or sign_quantize");
    detail::expect_clip(name, clip);
    detail::expects(clip == 0 || range == code_range::symmetric,
                    "uniform_quantize: clip needs range=symmetric; the levels of min_max always end at the extremes");
  }
  /// With few levels, the error of a block may exceed the block. With more, the largest error is below a third of the
  /// largest value, so error feedback stays bounded.
  ///
  /// Clipping changes nothing in that. Zero is a level, and the last level is the nearest one to what lies beyond it: to
  /// nearest, no error exceeds its value. Of the largest value m, the range T = min(m, c sigma) is sent, so |x - Q(x)|^2
  /// <= |x|^2 - m^2 + (m - T)^2 <= |x|^2 - m T, and m T >= min(1, c) sigma^2 = min(1, c) |x|^2 / block. At random, the
  /// largest error is at most m / 3 or m - T, and T >= m min(1, c / sqrt(block)), since sigma >= m / sqrt(block).
  [[nodiscard]] bool contracts() const {
    return Bits > (round == rounding::nearest && range == code_range::symmetric ? 1 : 2);
  }
  [[nodiscard]] bool is_unbiased() const { return round == rounding::stochastic && clip == 0; }
  template <class F> void specialise(F const& f) const {
    constexpr std::int32_t steps = (1 << Bits) - 1, bias = 1 << (Bits - 1);
    if (clip > 0)
      f(detail::clipped_pieces{{bias - 1, bias}, round == rounding::stochastic, clip});
    else if (range == code_range::symmetric)
      round == rounding::nearest ? f(detail::symmetric_pieces<rounding::nearest>{{bias - 1, bias}})
                                 : f(detail::symmetric_pieces<rounding::stochastic>{{bias - 1, bias}});
    else
      round == rounding::nearest ? f(detail::min_max_pieces<rounding::nearest>{{steps}})
                                 : f(detail::min_max_pieces<rounding::stochastic>{{steps}});
  }
};

template <int Bits> inline constexpr bool detail::standard_stage<uniform_quantize<Bits>> = true;

CCOMP_END
