#pragma once
/// Memory with canaries on both sides: what writes beside it is found.

#include <ccomp/core/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

CCOMP_BEGIN
namespace testing {

/// n values, filled with a pattern that no decode writes.
template <class T> class guarded {
 public:
  explicit guarded(std::size_t n, std::uint32_t around = pattern) : n_(n), around_(around), memory_(n + 2 * margin) {
    for (T& v : memory_) std::memcpy(&v, &around_, sizeof v);
  }
  guarded(std::vector<T> const& values, std::uint32_t around = pattern) : guarded(values.size(), around) {
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
                        memory_.end() - static_cast<std::ptrdiff_t>(margin),
                        [this](T const& v) { return untouched(v); });
  }
  /// No value was written.
  [[nodiscard]] bool blank() const {
    return std::ranges::all_of(memory_, [this](T const& v) { return untouched(v); });
  }

 private:
  static constexpr std::size_t margin = 32;
  static constexpr std::uint32_t pattern = 0x7fed7fedu;  // a NaN (of every type), but not the one that is written

  [[nodiscard]] bool untouched(T const& v) const { return std::memcmp(&v, &around_, sizeof v) == 0; }
  std::size_t n_;
  std::uint32_t around_;
  std::vector<T> memory_;
};

/// The bytes of one payload. They start on 16 bytes, and on no larger power of two.
class payload_buffer {
 public:
  explicit payload_buffer(std::size_t bytes) : bytes_(bytes), memory_(bytes + 2 * margin + 32, canary) {
    auto const start = reinterpret_cast<std::uintptr_t>(memory_.data()) + margin;
    // On 16 but not on 32: code that relies on more alignment than was promised must fail.
    offset_ = margin + (16 - start % 16) % 16;
    if ((reinterpret_cast<std::uintptr_t>(memory_.data()) + offset_) % 32 == 0) offset_ += 16;
  }
  // The offset belongs to this very allocation.
  payload_buffer(payload_buffer const&) = delete;
  payload_buffer& operator=(payload_buffer const&) = delete;

  std::span<std::byte> bytes() { return {memory_.data() + offset_, bytes_}; }
  std::span<std::byte const> bytes() const { return {memory_.data() + offset_, bytes_}; }
  operator std::span<std::byte>() { return bytes(); }
  operator std::span<std::byte const>() const { return bytes(); }
  [[nodiscard]] std::size_t size() const { return bytes_; }

  /// Nothing around the payload was written.
  [[nodiscard]] bool intact() const {
    auto const same = [](std::byte b) { return b == canary; };
    auto const begin = memory_.begin() + static_cast<std::ptrdiff_t>(offset_);
    return std::all_of(memory_.begin(), begin, same) &&
           std::all_of(begin + static_cast<std::ptrdiff_t>(bytes_), memory_.end(), same);
  }
  friend bool operator==(payload_buffer const& a, payload_buffer const& b) {
    return std::ranges::equal(a.bytes(), b.bytes());
  }

 private:
  static constexpr std::byte canary{0xa5};
  static constexpr std::size_t margin = 64;
  std::size_t bytes_, offset_ = 0;
  std::vector<std::byte> memory_;
};

}  // namespace testing
CCOMP_END
