#pragma once
/// What kernels found wrong: a few words of pinned memory that the host reads without waiting for the device.

#include <ccomp/exec/cuda.hpp>

#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// A slot that belonged to another call: whose, what its header said, and what it should have said. Or one whose bytes were
/// changed on their way.
struct other_call_report {
  unsigned rank = 0;
  unsigned long long fingerprint = 0, sequence = 0, own_fingerprint = 0, own_sequence = 0;
  bool damaged = false;
};

/// Read by the host while kernels write (engine/cuda/status.cuh). Each word is written by one side alone: where the bus
/// knows no atomics, a device's read and write of a word are two, and what the host wrote between them would be lost.
struct alignas(64) device_status {
  unsigned bad_payloads = 0;  // kernels count: payloads that were not what any encode produces
  unsigned claimed = 0;       // kernels count: reports of other calls that a thread writes, or has written
  unsigned written = 0;       // kernels count: that it has written
  unsigned taken = 0;         // the host counts: that it has read
  unsigned bad_seen = 0;      // the host's own
  other_call_report other{};
  unsigned long long overflowed = 0;     // kernels count: values that found no room in a bounded payload
  unsigned long long overflow_seen = 0;  // the host's own

  /// Since it was asked last.
  std::size_t take_overflow() {
    unsigned long long const now = std::atomic_ref(overflowed).load(std::memory_order_acquire);
    return static_cast<std::size_t>(now - std::exchange(overflow_seen, now));
  }
  bool take_bad_payload() {
    unsigned const now = std::atomic_ref(bad_payloads).load(std::memory_order_acquire);
    return std::exchange(bad_seen, now) != now;
  }
  std::optional<other_call_report> take_other_call() {
    unsigned const now = std::atomic_ref(written).load(std::memory_order_acquire);
    std::atomic_ref const seen(taken);
    if (seen.load(std::memory_order_relaxed) == now) return {};
    auto const report = other;
    seen.store(now, std::memory_order_release);  // from here on the next report may come
    return report;
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
  /// Once the calls on its stream are done.
  static void give_back(device_status* word, queue_end const& end) noexcept {
    end.wait_on(end.own());
    ignore_error(cudaLaunchHostFunc(end.own(), &status_pool::returned, word));
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
