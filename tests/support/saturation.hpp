#pragma once
/// Finite values of every size decode to finite values of the tensor's type.

#include <support/codec.hpp>

#include <ccomp/codec.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace support {

/// Values of up to `top`: all alike, of both signs, and mixed.
template <class T> std::vector<std::vector<T>> large_values(float top) {
  std::vector<std::vector<T>> all(3, std::vector<T>(1100));
  for (std::size_t i = 0; i < 1100; ++i) {
    all[0][i] = T(top);
    all[1][i] = T(i % 2 ? -top : top);
    all[2][i] = T(i % 7 == 0 ? top : i % 3 ? -top / 3 : top / 5);
  }
  return all;
}
template <class T> std::size_t not_finite(std::vector<T> const& x) {
  return static_cast<std::size_t>(std::ranges::count_if(x, [](T v) { return !std::isfinite(static_cast<float>(v)); }));
}
template <class T, class C> void stays_finite(C const& c, float top) {
  CAPTURE(ccomp::text(c));
  CAPTURE(top);
  for (auto const& x : large_values<T>(top)) CHECK(not_finite(round_trip(c, x)) == 0);
}
/// `reaches_all`: no sum of a block leaves the range of float.
template <class C> void stays_finite(C const& c, bool reaches_all = true) {
  for (float const top : {40000.0f, 60000.0f, 65504.0f}) stays_finite<ccomp::float16>(c, top);
  if (!reaches_all) return;
  for (float const top : {3e38f, 0x1.fep127f}) stays_finite<ccomp::bfloat16>(c, top);
  for (float const top : {70000.0f, 3e38f, std::numeric_limits<float>::max()}) stays_finite<float>(c, top);
}

}  // namespace support
