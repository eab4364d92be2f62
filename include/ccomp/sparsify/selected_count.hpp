#pragma once
/// How many values a sparsifier selects: a count, or a ratio of the tensor.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

CCOMP_BEGIN
namespace detail {

inline void expect_ratio(double ratio, std::string_view stage, char const* setting) {
  expects(ratio > 0 && ratio <= 1,
          [&] { return sentence(stage, ": ", setting, " must be above 0 and at most 1, got ", print_value(ratio)); });
}
/// Indices travel as u32.
inline void expect_indexable(std::size_t n, std::string_view stage) {
  expects(n < (std::uint64_t{1} << 32),
          [&] { return sentence(stage, ": a tensor may have up to 2^32 - 1 values, got ", n); });
}
/// `count` if it is not 0, else floor(ratio n); at least 1, at most n. No values: 0.
inline std::size_t selected_count(double ratio, std::uint64_t count, std::size_t n, std::string_view stage) {
  expect_indexable(n, stage);
  if (n == 0) return 0;
  std::size_t const wanted = count > 0 ? static_cast<std::size_t>(std::min<std::uint64_t>(count, n))
                                       : static_cast<std::size_t>(ratio * static_cast<double>(n));
  return std::clamp<std::size_t>(wanted, 1, n);
}

/// What `payloads` payloads of `selected` values each hold at most, added up.
constexpr std::size_t selected_of_sum(std::size_t selected, std::size_t payloads, std::size_t n) {
  return selected < n / payloads ? selected * payloads : payloads > 1 ? n : selected;
}

}  // namespace detail
CCOMP_END
