#pragma once

#include <array>
#include <ccomp/concepts.hpp>
#include <ccomp/engine/host/fwht.hpp>
#include <ccomp/transform/step.hpp>

CCOMP_BEGIN

/// Spreads each value over its block: random signs, then the orthonormal Walsh-Hadamard transform. Outliers vanish, so
/// that the quantizer that follows wastes no levels on them.
///
/// Shapes:      in [n] -> carrier [n], float
/// Payload:     none of its own
/// Range:       |y| <= sqrt(block) max|x|. The sums before the normalisation may overflow where block max|x| does
/// Tail:        a last block that is short is cut into descending powers of two: 13 values are blocks of 8, 4 and 1
/// Rounding:    y = H D x / sqrt(m) in float: butterflies (a + b, a - b) with strides 1, 2, 4, ..., then one product
/// Guarantee:   the inverse gives x back to within 2^-22 log2(block) of the block's L2 norm; L2 norms and inner
///              products are kept as well
/// Linear:      yes; all ranks draw the same signs
/// Determinism: bitwise the same on every engine, instruction set, thread count and run of the same step
/// NaN, Inf:    spread over their block, no other
/// Throws:      invalid_argument: block no power of two in 1..4096
/// Source:      Suresh, Yu, Kumar, McMahan, "Distributed Mean Estimation with Limited Communication", ICML 2017
///              (blockwise here, as in THC, Li et al., NSDI 2024)
struct hadamard_rotate {
  static constexpr std::string_view name = "hadamard_rotate";
  static constexpr bool is_linear = true;
  static constexpr bool stochastic = true;

  std::uint32_t block = 1024;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"block", &hadamard_rotate::block}, field{"seed", &hadamard_rotate::seed}};
  }
  void forward(instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options at) const {
    detail::flip_signs(isa, signs(at), x, n, first);
    rotate(isa, x, n);
  }
  void inverse(instruction_set isa, float* x, std::size_t n, std::uint64_t first, pass_options at) const {
    rotate(isa, x, n);
    detail::flip_signs(isa, signs(at), x, n, first);
  }
  [[nodiscard]] std::array<transform_step, 2> steps() const {
    return {{transform_step::flip(seed), transform_step::hadamard(block)}};
  }

 private:
  [[nodiscard]] random_stream signs(pass_options at) const {
    return {{seed, at.at}, at.tensor, shared_rank, detail::random_phase(detail::use_signs)};
  }
  void rotate(instruction_set isa, float* x, std::size_t n) const {
    std::size_t const whole = n - n % block;
    if (whole > 0) detail::fwht(isa, x, whole, block);
    for (std::size_t at = whole; at < n;) {
      std::size_t const m = std::bit_floor(n - at);
      detail::fwht(isa, x + at, m, m);
      at += m;
    }
  }
};

CCOMP_END
