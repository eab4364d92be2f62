#pragma once
/// n values with canaries on both sides, filled with a pattern that no decode writes.

#include <algorithm>
#include <ccomp/types.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace support {

template <class T> class guarded {
 public:
  explicit guarded(std::size_t n) : n_(n), memory_(n + 2 * margin) {
    for (T& v : memory_) std::memcpy(&v, &pattern, sizeof v);
  }
  guarded(std::vector<T> const& values) : guarded(values.size()) {
    std::ranges::copy(values, memory_.begin() + static_cast<std::ptrdiff_t>(margin));
  }
  std::span<T> span() { return {memory_.data() + margin, n_}; }
  operator std::span<T>() { return span(); }
  /// Nothing was written outside.
  [[nodiscard]] bool intact() const {
    for (std::size_t i = 0; i < margin; ++i)
      if (!untouched(memory_[i]) || !untouched(memory_[margin + n_ + i])) return false;
    return true;
  }
  /// Every value was written.
  [[nodiscard]] bool complete() const {
    return std::none_of(memory_.begin() + static_cast<std::ptrdiff_t>(margin),
                        memory_.end() - static_cast<std::ptrdiff_t>(margin), untouched);
  }
  /// No value was written.
  [[nodiscard]] bool blank() const { return std::ranges::all_of(memory_, untouched); }

 private:
  static constexpr std::size_t margin = 32;
  static constexpr std::uint32_t pattern = 0x7fed7fedu;  // a NaN (of every type), but not the one that is written

  static bool untouched(T const& v) { return std::memcmp(&v, &pattern, sizeof v) == 0; }
  std::size_t n_;
  std::vector<T> memory_;
};

}  // namespace support
