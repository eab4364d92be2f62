#pragma once
/// Objects that serve one call at a time: a second thread is told so, instead of both corrupting what they share.

#include <atomic>
#include <ccomp/config.hpp>
#include <ccomp/error.hpp>
#include <string>

CCOMP_BEGIN
namespace detail {

/// Which thread uses an object. A copy, or what an object was moved to, is used by nobody.
class in_use {
 public:
  in_use() = default;
  in_use(in_use const&) noexcept {}
  in_use& operator=(in_use const&) noexcept { return *this; }

 private:
  friend class exclusive_use;
  std::atomic<void const*> thread_{nullptr};
};

/// As long as it lives, this thread alone uses the object; calls within a call are part of it. One exchange.
///
/// Throws: invalid_argument, which names what is shared; the call that uses it goes on undisturbed.
class exclusive_use {
 public:
  exclusive_use(in_use& object, char const* call, char const* what) : object_(&object) {
    void const* owner = nullptr;
    if (object.thread_.compare_exchange_strong(owner, me(), std::memory_order_acquire, std::memory_order_relaxed))
      return;
    object_ = nullptr;
    expects(owner == me(), [&] {
      return std::string(call) + ": another thread is using this " + what +
             " at the same time; give each thread its own";
    });
  }
  exclusive_use(exclusive_use const&) = delete;
  exclusive_use& operator=(exclusive_use const&) = delete;
  ~exclusive_use() {
    if (object_) object_->thread_.store(nullptr, std::memory_order_release);
  }

 private:
  static void const* me() noexcept {
    thread_local char const here = 0;
    return &here;
  }
  in_use* object_;
};

}  // namespace detail
CCOMP_END
