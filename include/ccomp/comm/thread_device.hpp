#pragma once
/// What a rank of a thread_group keeps on its GPU. Runtime calls only, no kernels; part of comm/thread.cuh.

#include <ccomp/exec/cuda.hpp>

#include <cstddef>

CCOMP_BEGIN
namespace detail {

/// Two points of the rank's stream that other ranks' streams wait for, and scratch memory that only grows.
///
/// Made while its device is current. Its end waits for nothing: the scratch goes once what uses it is done.
class thread_device {
 public:
  explicit thread_device(cuda_exec const& ex) : device_(ex.device()) {
    try {
      make(ready_);
      make(done_);
      check_cuda(cudaStreamCreateWithFlags(&end_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    } catch (...) {
      destroy();
      throw;
    }
  }
  thread_device(thread_device const&) = delete;
  thread_device& operator=(thread_device const&) = delete;
  ~thread_device() { destroy(); }

  [[nodiscard]] int device() const noexcept { return device_; }
  /// The buffers of this rank may be read.
  void record_ready(cuda_exec const& ex) const { check_cuda(cudaEventRecord(ready_, ex.stream()), "cudaEventRecord"); }
  /// While this lives, the rank queues its reading of the others' buffers, and what it does in scratch memory. An
  /// exception does not hide from the others what was queued before it.
  class reading {
   public:
    reading(thread_device const& of, cuda_exec const& ex) : of_(of), stream_(ex.stream()) {}
    reading(reading const&) = delete;
    reading& operator=(reading const&) = delete;
    ~reading() { ignore_error(cudaEventRecord(of_.done_, stream_)); }

   private:
    thread_device const& of_;
    cudaStream_t stream_;
  };
  void wait_until_ready(cuda_exec const& ex) const { wait(ex, ready_); }
  void wait_until_done(cuda_exec const& ex) const { wait(ex, done_); }
  /// The same after a failure; the caller gets the exception of that failure.
  void let_finish(cuda_exec const& ex) const noexcept { ignore_error(cudaStreamWaitEvent(ex.stream(), done_, 0)); }

  /// Scratch for what is queued on ex.stream() during a `reading`.
  std::byte* scratch(cuda_exec const& ex, std::size_t bytes) {
    wait_until_done(ex);  // the last call may have been on another stream
    if (bytes > size_) {
      auto* const fresh = static_cast<std::byte*>(ex.allocate(bytes));
      release();
      memory_ = fresh;
      size_ = bytes;
    }
    return memory_;
  }

 private:
  static void make(cudaEvent_t& e) {
    check_cuda(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  static void wait(cuda_exec const& ex, cudaEvent_t e) {
    check_cuda(cudaStreamWaitEvent(ex.stream(), e, 0), "cudaStreamWaitEvent");
  }
  /// On its own stream, because the caller's stream may be gone by now.
  void release() noexcept {
    if (!memory_) return;
    ignore_error(cudaStreamWaitEvent(end_, done_, 0));
    device_memory::instance().free_on(memory_, end_);
    memory_ = nullptr;
    size_ = 0;
  }
  void destroy() noexcept {
    release();
    if (ready_) ignore_error(cudaEventDestroy(ready_));
    if (done_) ignore_error(cudaEventDestroy(done_));
    if (end_) ignore_error(cudaStreamDestroy(end_));
  }

  int device_;
  cudaEvent_t ready_ = nullptr, done_ = nullptr;
  cudaStream_t end_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace detail
CCOMP_END
