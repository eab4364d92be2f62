#pragma once
/// Factors that are as large as each other. A block of a quantizer may hold the end of one factor and the beginning of the
/// next; of factors of unlike size it would round the smaller one to zero.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/lanes.hpp>
#include <ccomp/engine/host/statistic.hpp>

#include <cmath>
#include <span>
#include <vector>

CCOMP_BEGIN
namespace detail {

struct factor_part {
  float* data;
  std::size_t size;
};

/// e with 2^e <= x < 2^(e + 1), for the bits of a positive finite x.
CCOMP_HD constexpr int exponent_of(std::uint32_t key) {
  if (key >= 1u << 23) return static_cast<int>(key >> 23) - 127;
  int e = -150;
  for (; key > 0; key >>= 1) ++e;
  return e;
}
/// The power of two by which part i of `count` is multiplied, if the exponents of their largest magnitudes sum to `sum`: all
/// powers together are 2^0, since the floors of (sum + i) / count add up to sum.
CCOMP_HD constexpr int balancing_shift(int sum, int count, int i, int exponent) {
  int const all = sum + i, down = all % count < 0 ? 1 : 0;
  return all / count - down - exponent;
}

/// Whether sums of `rank` products of numbers with these largest magnitudes stay finite.
CCOMP_HD constexpr bool product_is_finite(std::uint32_t p, std::uint32_t q, std::size_t rank) {
  if (p >= inf_bits || q >= inf_bits) return false;
  int log2_rank = 0;
  while ((std::size_t{1} << log2_rank) < rank) ++log2_rank;
  return exponent_of(p) + exponent_of(q) + 2 + log2_rank < 127;
}
/// The largest magnitude, as bits.
inline std::uint32_t largest_key(instruction_set isa, float const* x, std::size_t n) {
  std::uint32_t key = 0;
  run_narrow(isa, [&] { key = scan<max_abs>(x, n).key; });
  return key;
}

/// Multiplies each factor of a product by a power of two, so that the product stays the same and the largest magnitudes are
/// within a factor of 4 of each other. Leaves a product as it is that is zero or not finite.
inline void balance(instruction_set isa, std::span<factor_part const> parts) {
  std::vector<int> exponents;
  int sum = 0;
  for (auto const& part : parts) {
    std::uint32_t const key = largest_key(isa, part.data, part.size);
    if (key == 0 || key >= inf_bits) return;
    exponents.push_back(exponent_of(key));
    sum += exponents.back();
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    int const shift = balancing_shift(sum, static_cast<int>(parts.size()), static_cast<int>(i), exponents[i]);
    for (std::size_t j = 0; j < parts[i].size; ++j) parts[i].data[j] = std::scalbn(parts[i].data[j], shift);
  }
}

}  // namespace detail
CCOMP_END
