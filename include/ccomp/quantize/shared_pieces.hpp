#pragma once

#include <ccomp/quantize/uniform.hpp>

CCOMP_BEGIN
namespace detail {

/// Symmetric codes with the rounding told at run time, which halves the number of kernels.
struct shared_pieces : symmetric_codes {
  static constexpr bool stochastic = true;
  using statistic = max_abs;
  bool at_random;

  CCOMP_HD parameters fit(max_abs m, std::size_t n) const {
    return symmetric_pieces<rounding::nearest>{*this}.fit(m, n);
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t random) const {
    return at_random ? symmetric_pieces<rounding::stochastic>{*this}.code(x, p, random)
                     : symmetric_pieces<rounding::nearest>{*this}.code(x, p, 0);
  }
};

}  // namespace detail
CCOMP_END
