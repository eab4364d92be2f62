#pragma once
/// Scratch memory for calls: memory that only grows, or a buffer that you lend.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/host_exec.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

CCOMP_BEGIN
namespace detail {

/// Memory that is never freed, because something outside may still write to it. It stays reachable.
inline void keep_until_exit(void* memory) {
  struct kept {
    void* memory;
    kept* next;
  };
  static std::atomic<kept*> all{nullptr};
  auto* const one = new kept{memory, all.load()};
  while (!all.compare_exchange_weak(one->next, one)) {
  }
}

}  // namespace detail

/// Memory that calls use while they run; nothing in it survives a call.
///
/// `workspace ws{ex}` allocates when a call needs more and never shrinks, so a call of a size seen before does not
/// allocate. `workspace ws{ex, bytes}` uses the lent buffer and throws invalid_argument when a call needs more. One
/// workspace serves one call at a time: a second thread is refused with invalid_argument.
template <class Exec> class workspace {
 public:
  explicit workspace(Exec ex = {}) : ex_(ex) {}
  workspace(Exec ex, std::span<std::byte> lent) : ex_(ex), memory_(lent), owns_(false) {}
  workspace(workspace&& other) noexcept
      : ex_(other.ex_), memory_(std::exchange(other.memory_, {})), owns_(other.owns_) {}
  workspace& operator=(workspace&& other) noexcept {
    std::swap(ex_, other.ex_);
    std::swap(memory_, other.memory_);
    std::swap(owns_, other.owns_);
    return *this;
  }
  workspace(workspace const&) = delete;
  workspace& operator=(workspace const&) = delete;
  ~workspace() { release(); }

  /// At least `bytes`, aligned to 16; whatever it held before is lost. `call`: who asks, for what is thrown.
  std::span<std::byte> reserve(std::size_t bytes, char const* call = "workspace") {
    std::size_t const skip =
        (16 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 16) % 16;  // lent memory starts anywhere
    if (bytes + skip <= memory_.size()) return memory_.subspan(skip);
    if (bytes == 0) return {};
    detail::expects(owns_, [&] {
      return detail::sentence(call, ": the lent buffer has ", memory_.size(), " bytes and the call needs ",
                              bytes + skip);
    });
    auto* fresh = static_cast<std::byte*>(ex_.allocate(bytes));
    release();
    return memory_ = {fresh, bytes};
  }

  /// For calls: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }
  /// For calls that failed while a transport still reads or writes the memory: own memory is not freed before the
  /// program ends, and the next call takes other memory. Who lends memory keeps it until then.
  void keep_until_exit() {
    if (owns_ && memory_.data()) detail::keep_until_exit(memory_.data());
    if (owns_) memory_ = {};
  }
  /// Bytes held now.
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }

 private:
  void release() noexcept {
    if (owns_ && memory_.data()) ex_.deallocate(memory_.data());
    memory_ = {};
  }

  Exec ex_;
  std::span<std::byte> memory_{};
  bool owns_ = true;
  detail::in_use in_use_;
};

CCOMP_END
