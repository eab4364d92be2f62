#pragma once
/// The weights of ranks in a mean.

#include <ccomp/core/numeric.hpp>

#include <cstddef>
#include <span>

CCOMP_BEGIN
namespace detail {

/// The share of rank `r` in a mean, from the weights of all ranks; not finite if they add up to 0.
CCOMP_HD inline float weight_share(float const* weights, std::size_t ranks, std::size_t r) {
  double all = 0;
  for (std::size_t i = 0; i < ranks; ++i) all += static_cast<double>(weights[i]);
  return static_cast<float>(static_cast<double>(weights[r]) / all);
}

}  // namespace detail
CCOMP_END
