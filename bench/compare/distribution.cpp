#include "distribution.hpp"

#include <algorithm>
#include <cmath>

namespace compare {

double max_abs_of(std::span<float const> values) {
  double largest = 0;
  for (float const x : values) largest = std::max(largest, std::fabs(static_cast<double>(x)));
  return largest;
}

distribution measure_distribution(std::span<float const> values, double limit, std::size_t bins) {
  distribution result;
  result.counts.assign(bins, 0);
  std::vector<float> magnitudes;
  magnitudes.reserve(values.size());
  double squares = 0;
  for (float const x : values) {
    auto const value = static_cast<double>(x);
    squares += value * value;
    result.zeros += x == 0 ? 1U : 0U;
    // The ratio comes first: 2 * limit overflows nothing in double, but a limit of 0 must not divide.
    auto const place = limit > 0 ? (value / limit + 1) / 2 : 0.5;
    auto const bin = static_cast<std::size_t>(std::clamp(place, 0.0, 1.0) * static_cast<double>(bins));
    ++result.counts[std::min(bin, bins - 1)];
    magnitudes.push_back(std::fabs(x));
  }
  auto const n = static_cast<double>(values.size());
  result.rms = std::sqrt(squares / n);
  result.max_abs = max_abs_of(values);
  if (result.rms > 0) {
    for (float const x : values) {
      auto const ratio = static_cast<double>(x) / result.rms;
      result.kurtosis += ratio * ratio * ratio * ratio / n;
    }
  }
  std::sort(magnitudes.begin(), magnitudes.end());
  for (double const p : {0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    auto const index = std::ceil(p * n) - 1;
    result.abs_quantiles.emplace_back(p,
                                      static_cast<double>(magnitudes[static_cast<std::size_t>(std::max(0.0, index))]));
  }
  return result;
}

}
