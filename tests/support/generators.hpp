#pragma once
/// Inputs for tests: the same values on every machine and standard library.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

namespace support {

/// splitmix64: enough for test inputs, and nothing of the library's own.
class generator {
 public:
  explicit generator(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567u) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double gaussian() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

 private:
  std::uint64_t state_;
};

inline std::vector<float> gaussian_values(std::size_t n, std::uint64_t seed = 1, double deviation = 1) {
  generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = static_cast<float>(deviation * g.gaussian());
  return x;
}
/// Few large, many small, as gradients are: a Gaussian times a log-normal.
inline std::vector<float> heavy_tailed_values(std::size_t n, std::uint64_t seed = 1) {
  generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = static_cast<float>(1e-3 * g.gaussian() * std::exp(1.5 * g.gaussian()));
  return x;
}
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
