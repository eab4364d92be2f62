#pragma once
/// Bytes for one payload: starts on 16, no further, with canaries on both sides.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace support {

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

}  // namespace support
