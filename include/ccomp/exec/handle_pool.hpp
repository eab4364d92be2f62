#pragma once
/// Handles of CUDA libraries that no call uses at the moment, by device.

#include <ccomp/core/config.hpp>

#include <map>
#include <mutex>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// They are never destroyed, because that would wait for the device, and making one takes long.
template <class Handle> class handle_pool {
 public:
  static handle_pool& instance() {
    static auto* const pool = new handle_pool;
    return *pool;
  }
  /// An unused one, or what `make()` returns.
  template <class Make> Handle take(int device, Make const& make) {
    std::lock_guard const lock(mutex_);
    auto& free = free_[device];
    if (free.empty()) free.push_back(make());
    auto const handle = free.back();
    free.pop_back();
    free.reserve(free.size() + 1);  // giving back never allocates
    return handle;
  }
  void give_back(int device, Handle handle) noexcept {
    std::lock_guard const lock(mutex_);
    free_.at(device).push_back(handle);
  }

 private:
  std::mutex mutex_;
  std::map<int, std::vector<Handle>> free_;
};

}  // namespace detail
CCOMP_END
