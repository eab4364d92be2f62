#pragma once

#include <ccomp/exec/cuda.hpp>

namespace gpu {

/// What a stream takes for what a call queues, by events.
class stopwatch {
 public:
  stopwatch() {
    for (auto& e : ends_) ccomp::detail::check_cuda(cudaEventCreate(&e), "cudaEventCreate");
  }
  stopwatch(stopwatch const&) = delete;
  stopwatch& operator=(stopwatch const&) = delete;
  ~stopwatch() {
    for (auto const e : ends_) static_cast<void>(cudaEventDestroy(e));
  }

  /// Queues the call between two events.
  template <class Call> void record(ccomp::cuda_exec const& ex, Call const& call) const {
    ccomp::detail::check_cuda(cudaEventRecord(ends_[0], ex.stream()), "cudaEventRecord");
    call();
    ccomp::detail::check_cuda(cudaEventRecord(ends_[1], ex.stream()), "cudaEventRecord");
  }
  /// Between the events of the last `record`; waits for them.
  [[nodiscard]] double seconds() const {
    float milliseconds = 0;
    ccomp::detail::check_cuda(cudaEventSynchronize(ends_[1]), "cudaEventSynchronize");
    ccomp::detail::check_cuda(cudaEventElapsedTime(&milliseconds, ends_[0], ends_[1]), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) / 1e3;
  }
  template <class Call> double seconds_of(ccomp::cuda_exec const& ex, Call const& call) const {
    record(ex, call);
    return seconds();
  }

 private:
  cudaEvent_t ends_[2] = {};
};

}  // namespace gpu
