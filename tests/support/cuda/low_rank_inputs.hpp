#pragma once
/// Matrices of a low rank, and how far apart two results are.

#include <support/generators.hpp>
#include <support/ranks.hpp>
#include <support/typed_cases.hpp>

#include <vector>

namespace support {

inline double distance(std::vector<float> const& a, std::vector<float> const& b) {
  std::vector<double> off, size;
  for (std::size_t i = 0; i < a.size(); ++i) {
    off.push_back(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    size.push_back(static_cast<double>(b[i]));
  }
  return norm(off) / (norm(size) + 1e-30);
}
template <class T> std::vector<float> widened(std::vector<T> const& x) {
  std::vector<float> y;
  for (T const v : x) y.push_back(static_cast<float>(v));
  return y;
}
/// Rank 3 and a little noise: directions that are far apart, so that rounding does not turn them.
template <class T = float> per_rank<T> low_rank_inputs(int ranks, std::size_t n, std::size_t cols) {
  per_rank<T> all;
  for (int r = 0; r < ranks; ++r) {
    auto const seed = static_cast<std::uint64_t>(r);
    auto const noise = gaussian_values(n, 70 + seed, 0.02), left = gaussian_values(3 * n, 80),
               right = gaussian_values(3 * cols, 90 + seed);
    std::vector<T> m(n);
    for (std::size_t i = 0; i < n; ++i) {
      float v = noise[i];
      for (std::size_t k = 0; k < 3; ++k)
        v += left[i / cols * 3 + k] * right[i % cols * 3 + k] * (k == 0 ? 4.0f : k == 1 ? 2.0f : 1.0f);
      m[i] = T(v);
    }
    all.push_back(m);
  }
  return all;
}

}  // namespace support
