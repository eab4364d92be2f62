#pragma once

#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/statistic.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

CCOMP_BEGIN

/// Rounds each value at random to one of the two nearest powers of two, so that its expectation is the value.
///
/// Shapes:      in [n] -> codes [n] of 8 bits, one power of two per block
/// Payload:     pad16(4 ceil(n/block)) + pad16(n) bytes; depends on n only
/// Range:       code = sign << 7 | m: m = 0 is zero, m >= 1 is top 2^(1-m) with top the smallest power of two not below
///              max|x|. So a code can be one of 127 powers of two, and nothing is clipped, except that values above
///              2^127 decode to 2^127. Values written in 16 bits saturate at the type's largest number
/// Rounding:    2^e (1 + f) becomes 2^(e+1) with probability f (in steps of 2^-16), else 2^e
/// Guarantee:   |x - Q(x)| < |x|; |E Q(x) - x| <= 2^-16 |x|; E (Q(x) - x)^2 <= x^2 / 8. Values below top 2^-126 are
///              lost: this error is less than 2^-126 of the block's maximum, and the only bias besides saturation.
///              Values below 2^-126 become 0 or 2^-126: |x - Q(x)| < 2^-126, and the bias is at most 2^-142
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose max|x| < 2^-118 decode to zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Horvath, Ho, Horvath, Sahu, Canini, Richtarik, "Natural Compression for Distributed Deep Learning",
///              MSML 2022 (there 9 bits: sign and exponent)
struct natural {
  static constexpr std::string_view name = "natural";
  static constexpr int bits = 8;
  static constexpr bool stochastic = true;
  static constexpr bool is_unbiased = true;

  std::uint32_t block = 1024;
  std::uint64_t seed = 0;

  static constexpr auto fields() { return std::tuple{field{"block", &natural::block}, field{"seed", &natural::seed}}; }

  using statistic = max_abs;
  struct parameters {
    float top;
  };
  CCOMP_HD parameters fit(max_abs m, std::size_t) const {
    std::uint32_t const exponent = (m.key + 0x7fffffu) >> 23;
    return {m.key < detail::tiny_bits ? 0.0f : detail::bits_float((exponent < 254 ? exponent : 254) << 23)};
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t random) const {
    std::uint32_t const u = detail::float_bits(x), top = detail::float_bits(p.top) >> 23;
    // Random bits added to the mantissa carry into the exponent with the mantissa as probability; for subnormals too.
    std::uint32_t const carried = ((u & 0x7fffffffu) + (random << 7)) >> 23, exponent = carried < top ? carried : top;
    std::uint32_t const below = top - exponent;
    return ((u >> 24) & 0x80u) | (below < 127 && exponent > 0 ? below + 1 : 0);
  }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    std::uint32_t const top = detail::float_bits(p.top), m = code & 0x7fu;
    bool const nonzero = m > 0 && ((top >> 23) & 0xffu) >= m;
    return detail::bits_float(((code & 0x80u) << 24) | (nonzero ? top - ((m - 1) << 23) : 0u));
  }
};

template <> inline constexpr bool detail::standard_stage<natural> = true;

CCOMP_END
