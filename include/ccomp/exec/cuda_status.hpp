#pragma once
/// What kernels found wrong: a few words of pinned memory that the host reads without waiting for the device.

#include <ccomp/exec/cuda.hpp>
#include <mutex>
#include <new>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// Written by kernels (engine/cuda/status.cuh), read and cleared by the host.
struct alignas(64) device_status {
  unsigned bad_payload = 0;  // 1: a payload was not what any encode produces
  unsigned other_call = 0;   // rank + 1: that rank's slot belonged to another call, whose header follows
  unsigned long long fingerprint = 0, sequence = 0;
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
    std::lock_guard const lock(mutex_);
    if (free_.empty()) {
      void* page = nullptr;
      constexpr std::size_t words = 64;
      check_cuda(cudaHostAlloc(&page, words * sizeof(device_status), cudaHostAllocPortable | cudaHostAllocMapped),
                 "cudaHostAlloc");
      made_ += words;
      free_.reserve(made_);  // giving back never allocates
      for (std::size_t i = 0; i < words; ++i) free_.push_back(static_cast<device_status*>(page) + i);
    }
    auto* const word = free_.back();
    free_.pop_back();
    return new (word) device_status{};
  }
  /// In the stream's order. A stream that is gone, or records a graph, loses the word: 64 bytes.
  void give_back(device_status* word, cudaStream_t stream) noexcept {
    if (cudaLaunchHostFunc(stream, &status_pool::returned, word) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }

 private:
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
