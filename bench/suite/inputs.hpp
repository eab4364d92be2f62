#pragma once

#include "bench/compare/gradients.hpp"
#include "bench/compare/npy.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace suite {

// What a tensor may look like: the cost of selection, and every error, depends on it.
enum class kind { gaussian, heavy, gradient };

inline std::string name_of(kind k) {
  switch (k) {
    case kind::gaussian:
      return "gaussian";
    case kind::heavy:
      return "heavy";
    default:
      return "gradient";
  }
}

// Gaussian: N(0, 1e-3). Heavy: 90 % N(0, 1e-3), 9 % N(0, 1e-2), 1 % Student's t with 2 degrees of freedom times 1e-2.
// Gradient: rank 0 of the shipped language model's gradients, repeated with falling scale.
inline std::vector<float> make_values(kind k, std::size_t n) {
  std::vector<float> x(n);
  if (k == kind::gradient) {
    auto const rows = compare::gradients(compare::read_npy(CCOMP_BENCH_GRADIENTS), 1);
    compare::repeat_row(rows.row(0), x);
    return x;
  }
  std::uint64_t state = 42;
  auto uniform = [&state] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (static_cast<double>(state >> 11) + 0.5) * 0x1p-53;
  };
  auto normal = [&uniform] { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); };
  for (auto& v : x) {
    double const pick = k == kind::heavy ? uniform() : 0;
    if (pick < 0.9)
      v = static_cast<float>(1e-3 * normal());
    else if (pick < 0.99)
      v = static_cast<float>(1e-2 * normal());
    else
      v = static_cast<float>(1e-2 * normal() / std::sqrt(-std::log(uniform())));
  }
  return x;
}

// Made once a process: the largest takes seconds.
inline std::span<float const> values(kind k, std::size_t n) {
  static std::map<std::pair<kind, std::size_t>, std::vector<float>> made;
  auto& x = made[{k, n}];
  if (x.empty()) x = make_values(k, n);
  return x;
}

}
