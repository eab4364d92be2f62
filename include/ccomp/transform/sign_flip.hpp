#pragma once

#include <array>
#include <ccomp/concepts.hpp>
#include <ccomp/engine/host/fwht.hpp>
#include <ccomp/transform/step.hpp>

CCOMP_BEGIN

/// Flips the signs of random values, the same ones on every rank.
///
/// Shapes:      in [n] -> carrier [n], float
/// Payload:     none of its own
/// Guarantee:   the inverse gives back every bit
/// Linear:      yes
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    stay what they are
/// Throws:      nothing
/// Source:      the diagonal of random signs of hadamard_rotate, on its own: bit i of the stream flips value i
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
  [[nodiscard]] std::array<transform_step, 1> steps() const { return {{transform_step::flip(seed)}}; }
};

CCOMP_END
