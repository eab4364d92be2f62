#pragma once
/// Inputs that selections get wrong more often than others, and the selection as its definition says it.

#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace support {

inline std::uint32_t key_of(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7fffffffu; }

/// The indices of the k largest magnitudes, ascending, of equals the smaller ones: order and cut.
inline std::vector<std::uint32_t> naive_top_k(std::span<float const> x, std::size_t k) {
  std::vector<std::uint64_t> order(x.size());  // the key, turned over, then the index: ascending is what comes first
  for (std::size_t i = 0; i < x.size(); ++i) order[i] = std::uint64_t{~key_of(x[i])} << 32 | i;
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end());
  std::vector<std::uint32_t> index(k);
  for (std::size_t i = 0; i < k; ++i) index[i] = static_cast<std::uint32_t>(order[i]);
  std::sort(index.begin(), index.end());
  return index;
}

/// Everything of `finite_cases`, and orders, ties and non-finite values.
inline std::vector<named_values> selection_cases(std::size_t n) {
  auto cases = finite_cases(n);
  auto make = [&](std::string name, auto const& value) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = value(i);
    cases.push_back({std::move(name), std::move(x)});
  };
  generator g(n + 77);
  auto at = [](std::size_t i) { return static_cast<float>(i); };
  make("ascending", [&](std::size_t i) { return at(i); });
  make("descending", [&](std::size_t i) { return at(n - i); });
  make("two values", [&](std::size_t) { return g.next() % 2 ? 1.0f : -2.0f; });
  make("rare ones", [&](std::size_t) { return g.next() % 150 ? 0.0f : 1.0f; });
  make("rarer ones, last", [&](std::size_t i) { return i + 40 > n ? 1.0f : 0.0f; });
  make("few levels", [&](std::size_t) { return static_cast<float>(std::round(4 * g.gaussian())); });
  make("both zeros", [&](std::size_t) { return g.next() % 2 ? 0.0f : -0.0f; });
  make("subnormals",
       [&](std::size_t) { return std::bit_cast<float>(static_cast<std::uint32_t>(g.next()) & 0x807fffffu); });
  make("with NaN and Inf", [&](std::size_t) {
    auto const r = g.next() % 64;
    return r == 0 ? quiet_nan : r == 1 ? inf : r == 2 ? -inf : static_cast<float>(g.gaussian());
  });
  make("all NaN", [&](std::size_t) { return quiet_nan; });
  make("any bits", [&](std::size_t) { return std::bit_cast<float>(static_cast<std::uint32_t>(g.next())); });
  make("large ones in one tile",
       [&](std::size_t i) { return static_cast<float>(g.gaussian() * (i / 4096 == n / 8192 ? 1e6 : 1)); });
  return cases;
}

}  // namespace support
