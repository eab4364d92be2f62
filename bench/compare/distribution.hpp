#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace compare {

// What a gradient looks like: heavy tails are why sparsifiers and block scales work.
struct distribution {
  double rms = 0;
  double max_abs = 0;
  double kurtosis = 0;  // 3 for a Gaussian, 6 for a Laplace distribution
  std::size_t zeros = 0;
  std::vector<std::size_t> counts;                       // equal bins over [-limit, limit]
  std::vector<std::pair<double, double>> abs_quantiles;  // probability, |x|
};

// `limit`: largest |x| over all ranks, so that their histograms share bins.
distribution measure_distribution(std::span<float const> values, double limit, std::size_t bins);

double max_abs_of(std::span<float const> values);

}
