#include "heavy_values.hpp"

#include <cmath>
#include <cstdint>
#include <numbers>

namespace network {
namespace {

// SplitMix64: neighbouring numbers give unrelated bits.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// In (0, 1), of the upper 24 bits.
float uniform(std::uint32_t bits) { return (static_cast<float>(bits >> 8) + 0.5f) * 0x1p-24f; }

}

float heavy_value(int rank, std::size_t place) {
  auto const first = mixed(static_cast<std::uint64_t>(rank) << 48 ^ place);
  auto const second = mixed(first);
  auto const radius = std::sqrt(-2 * std::log(uniform(static_cast<std::uint32_t>(first))));
  auto const normal =
      radius * std::cos(2 * std::numbers::pi_v<float> * uniform(static_cast<std::uint32_t>(first >> 32)));
  auto const pick = uniform(static_cast<std::uint32_t>(second));
  if (pick < 0.9f) return 1e-3f * normal;
  if (pick < 0.99f) return 1e-2f * normal;
  return 1e-2f * normal / std::sqrt(-std::log(uniform(static_cast<std::uint32_t>(second >> 32))));
}

}
