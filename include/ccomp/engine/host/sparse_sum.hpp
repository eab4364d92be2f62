#pragma once
/// Sums of payloads that name the places of their values, tile by tile: each value of the output is written once.

#include <ccomp/core/numeric.hpp>

#include <algorithm>
#include <cstdint>
#include <span>

CCOMP_BEGIN
namespace detail {

/// What one payload adds: value[i] at index[i], in ascending order of the indices.
struct sparse_terms {
  std::span<std::uint32_t const> index;
  std::span<float const> value;

  /// Adds those of the values [first, first + n) to acc[0 .. n).
  void add_to(float* acc, std::size_t first, std::size_t n) const {
    auto i = static_cast<std::size_t>(std::ranges::lower_bound(index, first) - index.begin());
    for (; i < index.size() && index[i] < first + n; ++i) {
      float& to = acc[index[i] - first];
      to = add_signed(to, 1.0f, value[i]);
    }
  }
};

}  // namespace detail
CCOMP_END
