#pragma once

#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/statistic.hpp>
#include <ccomp/core/types.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

CCOMP_BEGIN

/// Stores values in a smaller floating-point type: float16, bfloat16, fp8_e4m3 or fp8_e5m2.
template <class T> struct cast {
  static_assert(!std::same_as<T, T>, "ccomp: cast takes float16, bfloat16, fp8_e4m3 or fp8_e5m2");
};

/// Rounds each value to a 16-bit float.
///
/// Shapes:      in [n] -> values [n] of 2 bytes
/// Payload:     pad16(2 n) bytes; depends on n only
/// Range:       that of the type; larger finite values saturate at its largest number (float16: 65504). A float16
///              carrier of a sum over W ranks holds the sum times 2^-ceil(log2 W), so that the sum of values in range
///              is in range
/// Ties:        round to nearest even
/// Guarantee:   |x - Q(x)| <= 2^-11 |x| (float16, |x| >= 2^-14; below: 2^-25), 2^-8 |x| (bfloat16, normal numbers)
/// Linear:      yes
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    stay NaN (canonical) and Inf; no other value changes
/// Throws:      nothing
/// Source:      IEEE 754-2019, binary16; Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019
template <class T>
requires std::same_as<T, float16> || std::same_as<T, bfloat16>
struct cast<T> {
  static constexpr std::string_view name = "cast";
  static constexpr bool is_linear = true;
  using carrier_type = T;
  static constexpr std::string_view argument() { return element_name(element_type_of<T>); }
  static constexpr auto fields() { return std::tuple{}; }
};

namespace detail {
/// An fp8 type: conversion of magnitudes, and the code of the largest number, which is 1.75 x 2^top_exponent.
template <class T> struct fp8_traits;
template <> struct fp8_traits<fp8_e4m3> : formats::small_float<3, 7> {
  static constexpr std::string_view name = "fp8_e4m3";
  static constexpr std::uint32_t top_code = 0x7e;
  static constexpr int top_exponent = 8;  // 448
};
template <> struct fp8_traits<fp8_e5m2> : formats::small_float<2, 15> {
  static constexpr std::string_view name = "fp8_e5m2";
  static constexpr std::uint32_t top_code = 0x7b;
  static constexpr int top_exponent = 15;  // 57344
};
}  // namespace detail

/// Rounds each value to an 8-bit float times a scale that its block shares.
///
/// Shapes:      in [n] -> codes [n] of 8 bits, one scale per block
/// Payload:     pad16(4 ceil(n/block)) + pad16(n) bytes; depends on n only
/// Range:       the largest |x| of a block becomes the largest number of the type (448 or 57344). The stored scale is
///              max|x| / 1.75, rounded up to 16 significant bits. It is 2^8 (e5m2: 2^15) times the factor of a code, so
///              that neither the scale nor its inverse leaves the range of float
/// Ties:        round to nearest even
/// Guarantee:   |x - Q(x)| <= u |x| + s with u = 2^-4 (e4m3), 2^-3 (e5m2) and s = half the smallest subnormal of the
///              type times the scale: max|x| / 458752 (e4m3), max|x| / 7516192768 (e5m2); both times 1 + 2^-14 for
///              rounding
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose max|x| < 2^-118 decode to zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Micikevicius et al., "FP8 Formats for Deep Learning", 2022; OCP 8-bit Floating Point Specification
template <class T>
requires std::same_as<T, fp8_e4m3> || std::same_as<T, fp8_e5m2>
struct cast<T> {
  using traits = detail::fp8_traits<T>;
  static constexpr std::string_view name = "cast";
  static constexpr int bits = 8;
  static constexpr std::string_view argument() { return traits::name; }

  std::uint32_t block = 128;

  static constexpr auto fields() { return std::tuple{field{"block", &cast::block}}; }

  using statistic = max_abs;
  struct parameters {
    float scale;
  };
  CCOMP_HD parameters fit(max_abs m, std::size_t) const {
    return {m.key < detail::tiny_bits ? 0.0f : detail::scale_for(m.value(), 1.75f)};
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t) const {
    float const inverse = detail::inverse_or_zero(p.scale, p.scale > 0);
    std::uint32_t const u = detail::float_bits(detail::mul(detail::mul(x, inverse), unit));
    // T(x) without its NaN and Inf, which no block that is coded holds: g++ does not vectorise those.
    return formats::at_most(traits::narrow(u & 0x7fffffffu), traits::top_code) | ((u >> 24) & 0x80u);
  }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    float const x = detail::bits_float(traits::widen(code & 0x7fu) | ((code & 0x80u) << 24));
    return detail::mul(detail::mul(x, 1.0f / unit), p.scale);
  }

 private:
  static constexpr float unit = static_cast<float>(1 << traits::top_exponent);
};

template <class T> inline constexpr bool detail::standard_stage<cast<T>> = true;

CCOMP_END
