#pragma once

#include <ccomp/core/fields.hpp>
#include <ccomp/quantize/uniform.hpp>

CCOMP_BEGIN

/// Rounds each value at random to -s, 0 or s of its block, after clipping to a multiple of the block's deviation.
///
/// Shapes:      in [n] -> codes [n] of 2 bits, one scale per block
/// Payload:     pad16(4 ceil(n/block)) + pad16(ceil(n / 4)) bytes; depends on n only
/// Range:       s = min(max|x|, clip sigma) rounded up to 16 significant bits; sigma = sqrt(mean x^2) is the deviation
///              from zero, not from the mean, which is 0 for a block of equal values. clip 0: s = max|x|
/// Rounding:    s sign(x) with probability min(|x|, s) / s (in steps of 2^-16), else 0
/// Guarantee:   |Q(x)| <= s; with c = x clipped to -s..s: |E Q(x) - c| <= 2^-16 s, E (Q(x) - c)^2 = |c| (s - |c|);
///              unbiased if clip is 0
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run of the same step
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose s < 2^-118 decode to zero.
/// Throws:      invalid_argument: block is not a power of two in 16..4096; clip is neither 0 nor in 0.01..1e6
/// Source:      Wen et al., "TernGrad: Ternary Gradients to Reduce Communication in Distributed Deep Learning", NeurIPS
///              2017 (there with clip 2.5 and the deviation from the mean)
struct ternary {
  static constexpr std::string_view name = "ternary";
  static constexpr int bits = 2;

  std::uint32_t block = 512;
  float clip = 2.5f;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"block", &ternary::block}, field{"clip", &ternary::clip}, field{"seed", &ternary::seed}};
  }
  void validate() const { detail::expect_clip(name, clip); }
  template <class F> void specialise(F const& f) const { f(detail::clipped_pieces{{1, 2}, true, clip}); }
  /// A value may change by the whole scale, so the residual of error feedback could grow without bound.
  [[nodiscard]] bool contracts() const { return false; }
  [[nodiscard]] bool is_unbiased() const { return clip == 0; }
};

template <> inline constexpr bool detail::standard_stage<ternary> = true;

CCOMP_END
