#pragma once

#include <ccomp/quantize/uniform.hpp>

#include <array>

CCOMP_BEGIN

/// The norm that the levels of qsgd are fractions of.
enum class level_norm { max, l2 };
constexpr auto setting_names(level_norm) { return std::array<std::string_view, 2>{"max", "l2"}; }

namespace detail {

/// Codes of the symmetric quantizer, on levels of the block's L2 norm.
struct l2_pieces : symmetric_pieces<rounding::stochastic> {
  using statistic = sum_squares;
  CCOMP_HD parameters fit(sum_squares s, std::size_t n) const {
    double const norm = sqrt(s.sum[0]);
    // A norm beyond the largest float has levels that no value of the block needs.
    float const top = norm < 0x1.fffffep127 ? static_cast<float>(norm) : 0x1.fffffep127f;
    // If the maximum is tiny, so is the root mean square.
    bool const tiny = s.sum[0] < mul(static_cast<double>(n), 0x1p-236);
    return {tiny ? 0.0f : scale_for(top, static_cast<float>(levels))};
  }
};

}  // namespace detail

/// Rounds each value at random to one of the two nearest of 2 s + 1 evenly spaced levels of its block's norm,
/// s = 2^(Bits-1) - 1, so that its expectation is the value.
///
/// Shapes:      in [n] -> codes [n] of Bits bits, one scale per block
/// Payload:     pad16(4 ceil(n/block)) + pad16(ceil(n Bits / 8)) bytes; depends on n only
/// Range:       -s..s times scale, stored offset by 2^(Bits-1); scale = norm / s rounded up to 16 significant bits.
///              norm=max: max|x|, with the same codes as uniform_quantize(round=stochastic). norm=l2: the L2 norm, as
///              in QSGD; its levels are up to sqrt(block) times further apart, so with 4 bits and blocks above 49
///              values the error of dense gradients exceeds the values
/// Rounding:    a value a + f between the levels a and a + 1 becomes a + 1 with probability f (in steps of 2^-16), else
///              a
/// Guarantee:   |x - Q(x)| < scale; |E Q(x) - x| <= 2^-16 scale; E (Q(x) - x)^2 <= scale^2 / 4 per value
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose max|x| (norm=l2: root mean square) < 2^-118
///              decode to zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Alistarh, Grubic, Li, Tomioka, Vojnovic, "QSGD: Communication-Efficient SGD via Gradient Quantization
///              and Encoding", NeurIPS 2017, section 3 (fixed-width codes instead of Elias coding)
template <int Bits> struct qsgd {
  static_assert(Bits >= 2 && Bits <= 8, "ccomp: qsgd takes 2 to 8 bits");
  static constexpr std::string_view name = "qsgd";
  static constexpr int bits = Bits;
  static constexpr bool is_unbiased = true;
  static std::string argument() { return std::to_string(Bits); }

  std::uint32_t block = 512;
  level_norm norm = level_norm::max;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"block", &qsgd::block}, field{"norm", &qsgd::norm}, field{"seed", &qsgd::seed}};
  }
  /// The error stays below the largest value: error feedback stays bounded.
  [[nodiscard]] bool contracts() const {
    constexpr std::uint32_t levels = (1u << (Bits - 1)) - 1;
    return norm == level_norm::max ? levels > 1 : block < levels * levels;
  }
  template <class F> void specialise(F const& f) const {
    constexpr std::int32_t bias = 1 << (Bits - 1);
    using max_pieces = detail::symmetric_pieces<rounding::stochastic>;
    norm == level_norm::max ? f(max_pieces{{bias - 1, bias}}) : f(detail::l2_pieces{{{bias - 1, bias}}});
  }
};

template <int Bits> inline constexpr bool detail::standard_stage<qsgd<Bits>> = true;

CCOMP_END
