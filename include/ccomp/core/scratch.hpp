#pragma once
/// Parts of a call's memory.

#include <ccomp/core/error.hpp>

#include <cstddef>
#include <span>
#include <string>

CCOMP_BEGIN
namespace detail {

/// Carves aligned parts off a scratch buffer whose size was computed by the same sequence of `bytes_for`.
class scratch {
 public:
  scratch() = default;
  explicit scratch(std::span<std::byte> memory) : memory_(memory) {}

  template <class T> static constexpr std::size_t bytes_for(std::size_t count) {
    return (count * sizeof(T) + 63) / 64 * 64;
  }
  template <class T> T* take(std::size_t count) {
    std::size_t const bytes = bytes_for<T>(count);
    expects(bytes <= memory_.size(),
            [&] { return sentence("scratch: ", memory_.size(), " bytes left, ", bytes, " needed"); });
    auto* p = reinterpret_cast<T*>(memory_.data());
    memory_ = memory_.subspan(bytes);
    return p;
  }
  [[nodiscard]] std::span<std::byte> remaining() const { return memory_; }

 private:
  std::span<std::byte> memory_{};
};

}  // namespace detail
CCOMP_END
