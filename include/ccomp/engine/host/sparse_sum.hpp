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
};

/// Goes through terms once, from those of the value `first` on.
class sparse_cursor {
 public:
  sparse_cursor(sparse_terms const& terms, std::size_t first)
      : terms_(terms),
        at_(static_cast<std::size_t>(std::ranges::lower_bound(terms.index, first) - terms.index.begin())) {}

  /// Adds the terms of the values [first, first + n), the next ones, to acc[0 .. n).
  void add_to(float* acc, std::size_t first, std::size_t n) {
    for (; at_ < terms_.index.size() && terms_.index[at_] < first + n; ++at_) {
      float& to = acc[terms_.index[at_] - first];
      to = add_signed(to, 1.0f, terms_.value[at_]);
    }
  }

 private:
  sparse_terms terms_;
  std::size_t at_;
};

}  // namespace detail
CCOMP_END
