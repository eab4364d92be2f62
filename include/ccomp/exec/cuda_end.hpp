#pragma once
/// When memory may go that a stream's calls have used. Asked in destructors, where the stream may be gone, or record a
/// graph: CUDA allows no call with the handle of a destroyed stream, and a capture takes no cudaFreeAsync.

#include <ccomp/exec/cuda_error.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// The end of what was queued on a stream so far, as an event: every call notes it last. What goes later waits for the
/// event, which outlives the stream, on a stream of the library's own.
class queue_end {
 public:
  queue_end(queue_end const&) = delete;
  queue_end& operator=(queue_end const&) = delete;
  ~queue_end() { ignore_error(cudaEventDestroy(event_)); }

  /// One for each stream that something was allocated on, by its number, since handles come again. The device is
  /// current.
  static std::shared_ptr<queue_end> of(int device, cudaStream_t stream) {
    unsigned long long number = 0;
    check_cuda(cudaStreamGetId(stream, &number), "cudaStreamGetId");
    auto& all = instances();
    std::lock_guard const lock(all.mutex);
    auto& known = all.ends[{device, number}];
    auto end = known.lock();
    if (end) return end;
    auto& own = all.own[device];
    if (!own) check_cuda(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    end.reset(new queue_end(event, own));
    std::erase_if(all.ends, [&](auto const& e) { return &e.second != &known && e.second.expired(); });
    known = end;
    return end;
  }

  /// `recording`: into a graph, each launch of which then notes its end.
  void note(cudaStream_t stream, bool recording) const noexcept {
    ignore_error(
        cudaEventRecordWithFlags(event_, stream, recording ? cudaEventRecordExternal : cudaEventRecordDefault));
  }
  /// The library's stream on this one's device.
  [[nodiscard]] cudaStream_t own() const noexcept { return own_; }
  /// From here on `stream` waits for what was noted last.
  void wait_on(cudaStream_t stream) const noexcept { ignore_error(cudaStreamWaitEvent(stream, event_, 0)); }

 private:
  /// Never destroyed: what is left at the very end goes with the process.
  struct all_ends {
    std::mutex mutex;
    std::map<std::pair<int, unsigned long long>, std::weak_ptr<queue_end>> ends;
    std::map<int, cudaStream_t> own;  // of each device
  };
  static all_ends& instances() {
    static auto* const all = new all_ends;
    return *all;
  }
  queue_end(cudaEvent_t event, cudaStream_t own) : event_(event), own_(own) {}

  cudaEvent_t event_;
  cudaStream_t own_;
};

/// Whose end memory waits for: of the stream that it was allocated on, and of others that calls have used it on.
class device_memory {
 public:
  using end = std::shared_ptr<queue_end>;

  static device_memory& instance() {
    static auto* const all = new device_memory;
    return *all;
  }
  void add(void* memory, end first) {
    std::lock_guard const lock(mutex_);
    ends_[memory].push_back(std::move(first));
  }
  /// Other memory, the caller's own, is his to keep until its work is done.
  [[nodiscard]] bool knows(void const* memory) {
    std::lock_guard const lock(mutex_);
    return ends_.contains(const_cast<void*>(memory));
  }
  void use(void const* memory, end const& on) {
    std::lock_guard const lock(mutex_);
    auto const found = ends_.find(const_cast<void*>(memory));
    if (found == ends_.end()) return;
    auto& ends = found->second;
    if (std::find(ends.begin(), ends.end(), on) == ends.end()) ends.push_back(on);
  }
  void free(void* memory) noexcept {
    auto const ends = forget(memory);
    if (ends.empty()) return;
    auto* const own = ends.front()->own();
    for (auto const& e : ends) e->wait_on(own);
    ignore_error(cudaFreeAsync(memory, own));
  }
  /// In the order of a stream that is there and runs.
  void free_on(void* memory, cudaStream_t stream) noexcept {
    forget(memory);
    ignore_error(cudaFreeAsync(memory, stream));
  }

 private:
  std::vector<end> forget(void* memory) noexcept {
    std::lock_guard const lock(mutex_);
    auto const node = ends_.extract(memory);
    return node ? std::move(node.mapped()) : std::vector<end>{};
  }

  std::mutex mutex_;
  std::map<void*, std::vector<end>> ends_;
};

}  // namespace detail
CCOMP_END
