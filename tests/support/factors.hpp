#pragma once
/// What tests of low rank measure: squared errors in double, and whether the columns of a factor are orthonormal.

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace support {

inline double squared_norm(std::vector<float> const& x) {
  double sum = 0;
  for (float const v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}
inline double squared_error(std::vector<float> const& x, std::vector<float> const& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += d * d;
  }
  return sum;
}

/// A payload begins with P [rows][rank]: but for one power of two, its columns are orthonormal within `allowed`, and the entry
/// of largest magnitude of each is positive.
inline void check_orthonormal(std::span<std::byte const> payload, std::size_t rows, std::size_t rank, double allowed) {
  std::vector<float> p(rows * rank);
  std::memcpy(p.data(), payload.data(), p.size() * sizeof(float));
  auto const product = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = 0; i < rows; ++i)
      sum += static_cast<double>(p[i * rank + a]) * static_cast<double>(p[i * rank + b]);
    return sum;
  };
  double const square = std::exp2(2 * std::round(std::log2(product(0, 0)) / 2));
  for (std::size_t a = 0; a < rank; ++a) {
    float largest = 0;
    for (std::size_t i = 0; i < rows; ++i)
      if (std::abs(p[i * rank + a]) > std::abs(largest)) largest = p[i * rank + a];
    CHECK(largest > 0);
    for (std::size_t b = 0; b <= a; ++b) CHECK(std::abs(product(a, b) / square - (a == b ? 1 : 0)) < allowed);
  }
}

}  // namespace support
