#pragma once
/// What quantizers of vectors say of a block: its scale, by which its vectors are divided before their words are sought,
/// and its gain, by which decoding multiplies the words.

#include <ccomp/core/numeric.hpp>

#include <cstddef>

CCOMP_BEGIN
namespace detail {

/// The root of the mean square of a block's values, of which `squares` is the sum; 0: the block decodes to zero. A block
/// that is not finite has scale 0, too.
CCOMP_HD inline float block_scale(double squares, std::size_t n) {
  double const mean = squares / static_cast<double>(n), rms = sqrt(mean);
  if (!is_finite(mean) || mean < 0x1p-236) return 0.0f;
  return rms < largest_float ? static_cast<float>(rms) : largest_float;
}
/// The gain that leaves a block the least squared error: `product` of its divided vectors with their words, `length` of the
/// words, squared. NaN where the block is not finite.
CCOMP_HD inline float block_gain(double squares, float scale, double product, double length) {
  if (!is_finite(squares)) return canonical_nan();
  if (!(product > 0)) return 0.0f;
  double const gain = mul(static_cast<double>(scale), product) / length;
  return gain < largest_float ? static_cast<float>(gain) : largest_float;
}

}  // namespace detail
CCOMP_END
