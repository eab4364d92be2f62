#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/transform_primitive.hpp>
#include <ccomp/engine/host/fwht.hpp>

#include <array>

CCOMP_BEGIN

/// Spreads each value over its block: random signs, then the orthonormal Walsh-Hadamard transform. This removes
/// outliers, so that the quantizer after it wastes no levels on them.
///
/// Shapes:      in [n] -> carrier [n], float
/// Payload:     adds no bytes
/// Range:       |y| <= sqrt(block) max|x|. The sums before the normalisation may overflow if block max|x| does
/// Tail:        a short last block is cut into descending powers of two: 13 values become blocks of 8, 4 and 1
/// Rounding:    y = H D x / sqrt(m) in float: butterflies (a + b, a - b) with strides 1, 2, 4, ..., then one product
/// Guarantee:   the inverse returns x to within 2^-22 log2(block) of the block's L2 norm; L2 norms and inner products
///              are kept to the same accuracy
/// Linear:      yes; all ranks draw the same signs
/// Determinism: bitwise the same on every engine, instruction set, thread count and run of the same step
/// NaN, Inf:    spread over their block, and over no other block
/// Throws:      invalid_argument: block is not a power of two in 1..4096
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
  [[nodiscard]] std::array<transform_primitive, 2> primitives() const {
    return {{transform_primitive::flip(seed), transform_primitive::hadamard(block)}};
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

template <> inline constexpr bool detail::standard_stage<hadamard_rotate> = true;

CCOMP_END
