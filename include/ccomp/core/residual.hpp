#pragma once
/// Error feedback, value by value, as every engine does it.

#include <ccomp/core/numeric.hpp>

CCOMP_BEGIN
namespace detail {

/// x + decay * old.
CCOMP_HD inline float with_residual(float x, float decay, float old) {
  return add(decay == 1.0f ? old : mul(decay, old), x);
}

/// v - decoded, which becomes the residual where `counts`. Elsewhere the residual stays as it was, so that it is always
/// finite.
struct left_out_value {
  float value;
  bool counts;
};
CCOMP_HD inline left_out_value left_out(float v, float decoded) {
  float const left = sub(v, decoded);
  return {left, is_finite(decoded) && is_finite(left)};
}

}  // namespace detail
CCOMP_END
