#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/transform_primitive.hpp>
#include <ccomp/engine/host/fwht.hpp>

#include <array>

CCOMP_BEGIN

/// Flips the signs of randomly chosen values; the choice is the same on every rank.
///
/// Shapes:      in [n] -> carrier [n], float
/// Payload:     adds no bytes
/// Guarantee:   decoding returns the same bits
/// Linear:      yes
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    unchanged, except for their signs
/// Throws:      nothing
/// Source:      the random signs of hadamard_rotate without the transform: bit i of the stream flips value i
struct sign_flip {
  static constexpr std::string_view name = "sign_flip";
  static constexpr bool is_linear = true;
  static constexpr bool stochastic = true;
  static constexpr std::uint32_t block = 1;  // mixes nothing

  std::uint64_t seed = 0;

  static constexpr auto fields() { return std::tuple{field{"seed", &sign_flip::seed}}; }
  void forward(instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options at) const {
    random_stream const signs{{seed, at.at}, at.tensor, shared_rank, detail::random_phase(detail::use_signs)};
    detail::flip_signs(isa, signs, x, n, first);
  }
  void inverse(instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options at) const {
    forward(isa, x, n, first, at);
  }
  [[nodiscard]] std::array<transform_primitive, 1> primitives() const { return {{transform_primitive::flip(seed)}}; }
};

template <> inline constexpr bool detail::standard_stage<sign_flip> = true;

CCOMP_END
