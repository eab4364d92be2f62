#pragma once
/// Objects that serve one call at a time. A second thread gets an exception; without it, both would corrupt the object.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>

#include <atomic>
#include <string>

CCOMP_BEGIN
namespace detail {

/// Which thread uses an object. No thread uses a copy, or the target of a move.
class in_use {
 public:
  in_use() = default;
  in_use(in_use const&) noexcept {}
  in_use& operator=(in_use const&) noexcept { return *this; }

 private:
  friend class exclusive_use;
  std::atomic<void const*> thread_{nullptr};
};

/// While it lives, only this thread uses the object. Calls within a call are part of it. It costs one atomic exchange.
///
/// Throws: invalid_argument, which names the shared object; the other call continues undisturbed.
class exclusive_use {
 public:
  exclusive_use(in_use& object, char const* call, char const* what);
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

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION exclusive_use::exclusive_use(in_use& object, char const* call, char const* what) : object_(&object) {
  void const* owner = nullptr;
  if (object.thread_.compare_exchange_strong(owner, me(), std::memory_order_acquire, std::memory_order_relaxed)) return;
  object_ = nullptr;
  expects(owner == me(), [&] {
    return sentence(call, ": another thread is using this ", what, " at the same time; give each thread its own");
  });
}
#endif

}  // namespace detail
CCOMP_END
