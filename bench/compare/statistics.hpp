#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace compare {

inline double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  auto const middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// ||got - wanted|| / ||wanted|| in float64; `got` and `wanted` are float or double.
template <typename Got, typename Wanted>
double relative_error(std::span<Got const> got, std::span<Wanted const> wanted) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto const w = static_cast<double>(wanted[i]);
    auto const d = static_cast<double>(got[i]) - w;
    difference += d * d;
    norm += w * w;
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

inline double cosine(std::span<float const> a, std::span<float const> b) {
  double product = 0;
  double norm_a = 0;
  double norm_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto const x = static_cast<double>(a[i]);
    auto const y = static_cast<double>(b[i]);
    product += x * y;
    norm_a += x * x;
    norm_b += y * y;
  }
  return product / std::sqrt(norm_a * norm_b);  // not a number where an output is all zero: there is no angle
}

}
