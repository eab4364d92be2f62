#pragma once
/// What a stage claims as its contraction, tried with numbers.

#include <doctest/doctest.h>

#include <algorithm>
#include <ccomp/testing/compressor_check.hpp>
#include <cmath>
#include <support/codec.hpp>
#include <support/generators.hpp>
#include <vector>

namespace support {

inline double squares(std::vector<float> const& x) {
  double s = 0;
  for (float const v : x) s += static_cast<double>(v) * static_cast<double>(v);
  return s;
}
inline double squared_error(std::vector<float> const& x, std::vector<float> const& y) {
  double s = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    s += d * d;
  }
  return s;
}

/// The average over steps of |x - Q(x)|^2 / |x|^2 stays below 1 - contraction, for any distribution of values.
template <class S> void check_contraction(S const& s, int steps) {
  auto const stages = ccomp::detail::host_stages_of(s);
  ccomp::testing::detail::compressor_check check(stages, {});
  check.run([&] {
    check.contraction([&](std::size_t n) { return std::optional(static_cast<double>(s.contraction(n))); }, steps);
  });
  for (auto const& fault : check.faults()) FAIL_CHECK(fault);
}

}  // namespace support
