#pragma once

#include <ccomp/core/types.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>

namespace perf {

// What one value of an output should be, in float64, and how far it may be from that; any finite value does for a
// compressor, whose slack is infinite.
struct expectation {
  double value = 0;
  double slack = 0;
};

// How far a sum of `terms` values may be from the exact one, whatever their order, if every addition and one division
// round to nearest in the type: u the unit roundoff, t = terms, t u / (1 - t u) times the sum of their magnitudes (Higham,
// "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2), and t times the smallest number.
inline double rounding_slack(ccomp::element_type type, int terms, double magnitudes) {
  bool const single = type == ccomp::element_type::float32;
  bool const half = type == ccomp::element_type::float16;
  double const u = single ? 0x1p-24 : half ? 0x1p-11 : 0x1p-8;
  double const least = half ? 0x1p-24 : single ? 0x1p-149 : 0x1p-133;
  double const tu = terms * u;
  return tu / (1 - tu) * magnitudes + terms * least;
}

struct check_result {
  std::size_t wrong = 0;
  double difference = 0;  // the sum of squares of got - value
  double norm = 0;        // the sum of squares of value
};

// A value is wrong if its bits are not those of `first`, rank 0's output (where that is not empty), if it is not finite,
// or if it is further from what it should be than the slack. expected(i) is an expectation.
template <class T, class Expected>
check_result check_values(std::span<T const> got, std::span<T const> first, Expected const& expected) {
  check_result found;
  for (std::size_t i = 0; i < got.size(); ++i) {
    expectation const wanted = expected(i);
    auto const value = static_cast<double>(static_cast<float>(got[i]));
    double const off = value - wanted.value;
    bool const same = first.empty() || std::memcmp(&got[i], &first[i], sizeof(T)) == 0;
    if (!same || !std::isfinite(value) || !(std::abs(off) <= wanted.slack)) ++found.wrong;
    found.difference += off * off;
    found.norm += wanted.value * wanted.value;
  }
  return found;
}

}
