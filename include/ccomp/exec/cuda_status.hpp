#pragma once
/// What kernels found wrong: a few words of pinned memory that the host reads without waiting for the device.

#include <atomic>
#include <ccomp/exec/cuda.hpp>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// A slot that belonged to another call: whose, what its header said, and what it should have said.
struct other_call_report {
  unsigned rank = 0;
  unsigned long long fingerprint = 0, sequence = 0, own_fingerprint = 0, own_sequence = 0;
};

/// Written by kernels (engine/cuda/status.cuh), read and cleared by the host.
struct alignas(64) device_status {
  unsigned bad_payload = 0;  // 1: a payload was not what any encode produces
  unsigned claimed = 0;      // 1: a thread writes `other`, or has
  unsigned written = 0;      // 1: it has
  other_call_report other{};

  bool take_bad_payload() {
    std::atomic_ref const flag(bad_payload);
    return flag.load(std::memory_order_acquire) != 0 && flag.exchange(0) != 0;
  }
  std::optional<other_call_report> take_other_call() {
    std::atomic_ref const flag(written);
    if (flag.load(std::memory_order_acquire) == 0) return {};
    auto const seen = other;
    flag.store(0);
    std::atomic_ref(claimed).store(0);  // from here on the next report may come
    return seen;
  }
};

/// All words of a process, on pages that are never given back: freeing pinned memory would wait for the device. A word
/// is free again once its stream has come so far, so that no late report reaches the next owner.
class status_pool {
 public:
  static status_pool& instance() {
    static auto* const pool = new status_pool;  // never destroyed: callbacks may come at the very end
    return *pool;
  }
  device_status* take() {
    for (;;) {
      {
        std::lock_guard const lock(mutex_);
        if (!free_.empty()) {
          auto* const word = free_.back();
          free_.pop_back();
          return new (word) device_status{};
        }
      }
      add_page();
    }
  }
  /// In the stream's order. A stream that is gone loses the word: 64 bytes.
  void give_back(device_status* word, cudaStream_t stream) noexcept {
    if (cudaLaunchHostFunc(stream, &status_pool::returned, word) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }

 private:
  /// Not under the lock: pinning memory may wait for streams, and streams for the lock.
  void add_page() {
    void* page = nullptr;
    constexpr std::size_t words = 64;
    check_cuda(cudaHostAlloc(&page, words * sizeof(device_status), cudaHostAllocPortable | cudaHostAllocMapped),
               "cudaHostAlloc");
    std::lock_guard const lock(mutex_);
    made_ += words;
    free_.reserve(made_);  // giving back never allocates
    for (std::size_t i = 0; i < words; ++i) free_.push_back(static_cast<device_status*>(page) + i);
  }
  static void returned(void* word) {
    auto& pool = instance();
    std::lock_guard const lock(pool.mutex_);
    pool.free_.push_back(static_cast<device_status*>(word));
  }

  std::mutex mutex_;
  std::vector<device_status*> free_;
  std::size_t made_ = 0;
};

}  // namespace detail
CCOMP_END
