#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/transform_primitive.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <array>

CCOMP_BEGIN

/// Multiplies by a factor; decoding multiplies by its inverse. Use it to move values into the range of a cast.
///
/// Shapes:      in [n] -> carrier [n], float
/// Payload:     adds no bytes
/// Rounding:    encode: y = fl(x factor); decode: fl(y fl(1 / factor)); exact for powers of two, unless y leaves the
///              normal range
/// Guarantee:   decoding returns x to within 2^-22 |x| if y is a normal number
/// Linear:      yes
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    unchanged
/// Throws:      invalid_argument: the magnitude of the factor is not between 2^-126 and 2^126
/// Source:      loss scaling: Micikevicius et al., "Mixed Precision Training", ICLR 2018
struct scale {
  static constexpr std::string_view name = "scale";
  static constexpr bool is_linear = true;
  static constexpr std::uint32_t block = 1;  // mixes nothing

  float factor = 1.0f;

  static constexpr auto fields() { return std::tuple{field{"factor", &scale::factor}}; }
  void validate() const {
    std::uint32_t const key = detail::magnitude_key(factor);
    detail::expects(key >= detail::magnitude_key(0x1p-126f) && key <= detail::magnitude_key(0x1p126f), [&] {
      return detail::sentence("scale: the factor must be a number from 2^-126 to 2^126 or its negative, got ",
                              detail::print_value(factor));
    });
  }
  void forward(instruction_set isa, float* x, std::size_t n, std::uint64_t, pass_options) const {
    multiply(isa, x, n, factor);
  }
  void inverse(instruction_set isa, float* x, std::size_t n, std::uint64_t, pass_options) const {
    multiply(isa, x, n, detail::div(1.0f, factor));
  }
  [[nodiscard]] std::array<transform_primitive, 1> primitives() const { return {{transform_primitive::times(factor)}}; }

 private:
  static void multiply(instruction_set isa, float* x, std::size_t n, float by) {
    detail::run(isa, [=] {
      for (std::size_t i = 0; i < n; ++i) x[i] = detail::mul(x[i], by);
    });
  }
};

template <> inline constexpr bool detail::standard_stage<scale> = true;

CCOMP_END
