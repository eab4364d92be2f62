#pragma once
/// Threads that are joined when their owner goes. (Not std::jthread: libc++ 16 to 19 lack it.)

#include <ccomp/core/function_ref.hpp>

#include <cstddef>
#include <thread>
#include <vector>

CCOMP_BEGIN
namespace detail {

class joining_threads {
 public:
  explicit joining_threads(std::size_t most) { threads_.reserve(most); }
  joining_threads(joining_threads const&) = delete;
  joining_threads& operator=(joining_threads const&) = delete;
  ~joining_threads() {
    for (auto& t : threads_) t.join();
  }

  /// Calls `f(part)` on a thread of its own. What `f` refers to outlives this object.
  void start(function_ref<void(int)> f, int part) { threads_.emplace_back(f, part); }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace detail
CCOMP_END
