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

// How far a yardstick moved during a run.
struct spread {
  double least = 0;  // the lowest and the highest speed, in units per second
  double most = 0;
  double relative = 0;  // (most - least) / median
};

// `seconds`: of every repetition of a run, in order. Each speed is that of the median of three in a row: one interruption
// changes no result, since results are medians, and does not count; what lasts does.
inline spread spread_of(std::vector<double> const& seconds, double units) {
  std::vector<double> speeds;
  for (std::size_t i = 0; i + 3 <= seconds.size(); i += 3) {
    speeds.push_back(units / median({seconds[i], seconds[i + 1], seconds[i + 2]}));
  }
  if (speeds.empty()) return {};
  auto const [least, most] = std::minmax_element(speeds.begin(), speeds.end());
  return {*least, *most, (*most - *least) / median(speeds)};
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
