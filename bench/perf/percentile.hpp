#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace perf {

// The smallest value that at least `percent` of 100 of all values do not exceed (nearest rank); percent above 0, values
// not empty.
inline double percentile(std::vector<double> values, double percent) {
  std::sort(values.begin(), values.end());
  auto const rank = std::ceil(percent / 100 * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}
