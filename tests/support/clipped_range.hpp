#pragma once
/// Where the levels of a block end that is clipped at a multiple of its deviation, from the definition.

#include <cmath>
#include <vector>

namespace support {

/// min(max |x|, clip sqrt(mean x^2)); clip 0: max |x|.
inline double clipped_range(std::vector<float> const& x, float clip) {
  double top = 0, squares = 0;
  for (double const v : x) {
    top = std::fmax(top, std::fabs(v));
    squares += v * v;
  }
  double const bound = static_cast<double>(clip) * std::sqrt(squares / static_cast<double>(x.size()));
  return clip > 0 ? std::fmin(top, bound) : top;
}

}  // namespace support
