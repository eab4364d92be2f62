#pragma once
/// What a rank of an mpi_communicator keeps for its GPU. Runtime calls only, no kernels; part of comm/mpi.cuh.

#include <ccomp/comm/mpi_messages.hpp>
#include <ccomp/exec/cuda.hpp>

#if defined(OPEN_MPI) && __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <array>
#include <cstddef>
#include <span>

CCOMP_BEGIN
namespace detail {

/// Whether MPI says that it takes device memory.
inline bool mpi_takes_device_memory() {
#if (defined(OPEN_MPI) && defined(MPIX_CUDA_AWARE_SUPPORT)) || \
    (defined(MPICH_NUMVERSION) && MPICH_NUMVERSION >= 40000000)
  return MPIX_Query_cuda_support() == 1;
#else
  return false;
#endif
}

/// Pinned memory to send from and to receive into, scratch memory on the device, and the end of the last call.
class mpi_device {
 public:
  enum buffer : std::size_t { outgoing, incoming };

  explicit mpi_device(cuda_exec const& ex) : device_(ex.device()) {
    check_cuda(cudaEventCreateWithFlags(&last_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  mpi_device(mpi_device const&) = delete;
  mpi_device& operator=(mpi_device const&) = delete;
  /// Waits for the last call: its result may still be on its way from pinned memory.
  ~mpi_device() {
    ignore_error(cudaEventSynchronize(last_));
    for (auto const& p : pinned_) ignore_error(cudaFreeHost(p.data()));
    if (scratch_.data()) cuda_exec::let_go(scratch_.data());
    if (word_) cuda_exec::let_go(word_);
    ignore_error(cudaEventDestroy(last_));
  }

  [[nodiscard]] int device() const noexcept { return device_; }
  void note_last(cuda_exec const& ex) const { check_cuda(cudaEventRecord(last_, ex.stream()), "cudaEventRecord"); }
  /// The last call may have been on another stream.
  void wait_for_last(char const* call, std::chrono::milliseconds limit) const {
    poll(call, limit, "cudaEventQuery", [&] { return cudaEventQuery(last_); });
  }
  void wait(cuda_exec const& ex, char const* call, std::chrono::milliseconds limit) const {
    poll(call, limit, "cudaStreamQuery", [&] { return cudaStreamQuery(ex.stream()); });
  }
  [[nodiscard]] std::span<std::byte> pinned(buffer which, std::size_t bytes) {
    auto& p = pinned_[which];
    if (p.size() < bytes) {
      void* fresh = nullptr;
      check_cuda(cudaMallocHost(&fresh, bytes), "cudaMallocHost");
      ignore_error(cudaFreeHost(p.data()));
      p = {static_cast<std::byte*>(fresh), bytes};
    }
    return p.first(bytes);
  }
  /// For what is queued on ex.stream() in this call.
  [[nodiscard]] std::span<std::byte> scratch(cuda_exec const& ex, std::size_t bytes) {
    if (scratch_.size() < bytes) {
      auto* const fresh = static_cast<std::byte*>(ex.allocate(bytes));
      if (scratch_.data()) cuda_exec::let_go(scratch_.data());
      scratch_ = {fresh, bytes};
    }
    return scratch_.first(bytes);
  }
  /// Eight bytes on the device.
  [[nodiscard]] std::byte* word(cuda_exec const& ex) {
    if (!word_) word_ = static_cast<std::byte*>(ex.allocate(8));
    return word_;
  }

 private:
  template <class Query>
  static void poll(char const* call, std::chrono::milliseconds limit, char const* what, Query const& query) {
    for (mpi_pause pause(limit);;) {
      auto const state = query();
      if (state != cudaErrorNotReady) return check_cuda(state, what);
      expects<timeout>(pause.once_more(),
                       [&] { return sentence(call, ": the stream is not done within ", limit.count(), " ms"); });
    }
  }

  int device_;
  cudaEvent_t last_ = nullptr;
  std::array<std::span<std::byte>, 2> pinned_{};
  std::span<std::byte> scratch_{};
  std::byte* word_ = nullptr;
};

}  // namespace detail
CCOMP_END
