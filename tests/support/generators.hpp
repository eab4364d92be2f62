#pragma once
/// Inputs for tests: the same values on every machine and standard library.

#include <ccomp/testing/inputs.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace support {

using ccomp::testing::gaussian_values;
using ccomp::testing::generator;
using ccomp::testing::heavy_tailed_values;

/// Any finite bit pattern: subnormals, huge values and everything between.
inline std::vector<float> any_finite_values(std::size_t n, std::uint64_t seed = 1) {
  generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) do
      v = std::bit_cast<float>(static_cast<std::uint32_t>(g.next()));
    while (!std::isfinite(v));
  return x;
}

struct named_values {
  std::string name;
  std::vector<float> values;
};
/// Inputs of n values that stages get wrong more often than others; all finite.
inline std::vector<named_values> finite_cases(std::size_t n) {
  using limits = std::numeric_limits<float>;
  auto fill = [n](float v) { return std::vector<float>(n, v); };
  auto alternating = fill(limits::max());
  for (std::size_t i = 1; i < n; i += 2) alternating[i] = -alternating[i];
  auto spike = fill(0.0f), noisy = gaussian_values(n, 14, 1e-3);
  if (n > 0) {
    spike[n / 2] = 3.0f;
    noisy[n / 3] = -1e3f;
  }
  return {{"gaussian", gaussian_values(n, 11)},
          {"heavy tailed", heavy_tailed_values(n, 12)},
          {"zero", fill(0.0f)},
          {"minus zero", fill(-0.0f)},
          {"all equal", fill(-0.7f)},
          {"subnormal", fill(0x1.8p-140f)},
          {"just below 2^-118", fill(0x1.fffffep-119f)},
          {"2^-118", fill(0x1p-118f)},
          {"huge", gaussian_values(n, 13, 1e30)},
          {"largest", fill(limits::max())},
          {"largest and its negative", alternating},
          {"one spike", spike},
          {"spike over noise", noisy}};
}

/// k indices below n, drawn without replacement, ascending.
inline std::vector<std::uint32_t> random_indices(std::size_t n, std::size_t k, std::uint64_t seed) {
  generator g(seed);
  std::vector<std::uint32_t> index;
  for (std::size_t i = 0; i < n && index.size() < k; ++i)
    if (g.next() % (n - i) < k - index.size()) index.push_back(static_cast<std::uint32_t>(i));
  return index;
}

}  // namespace support
