#pragma once
/// What tests can ask of the simulated CUDA runtime, and do to it. It stands in for libcudart when the program is
/// linked: device memory is host memory, streams are queues that run only when something waits for them, so that code
/// which forgets to synchronise reads stale bytes. All of this may be called from any thread.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <vector>

namespace cudart_sim {

/// Calls so far, of all threads. A test compares before and after.
struct counters {
  std::size_t allocations;  ///< device and pinned memory
  std::size_t launches;     ///< kernels queued or captured; a replayed graph counts none
  std::size_t late_loads;   ///< kernels that no call had loaded when they were launched
  std::size_t host_writes;  ///< atomics of kernels on memory that the host shares
  std::size_t host_syncs;   ///< calls that wait for the device, and asynchronous copies to or from pageable memory
};
counters count();

/// Memory not yet freed; cudaFreeAsync frees when its stream has come so far.
std::size_t live_allocations();
std::size_t live_bytes();
/// Work queued and not yet run, on all streams.
std::size_t pending();
/// Names of all kernels queued so far, in order.
std::vector<std::string> kernel_names();

/// The next call of that function returns `error` and does nothing; a launch is "cudaLaunchKernel". Several for one
/// name are used up one by one.
void fail_next(std::string name, cudaError_t error);

/// The context is broken, as by a kernel's illegal access: until begin_anew every call returns this error.
void break_context(cudaError_t error);

/// Keeps a stream's work from running. If the thread that holds it waits for it, that call says so and returns
/// cudaErrorLaunchTimeout; other threads wait until release().
class hold_stream {
 public:
  explicit hold_stream(cudaStream_t);
  ~hold_stream();
  void release();
  hold_stream(hold_stream const&) = delete;
  hold_stream& operator=(hold_stream const&) = delete;

 private:
  cudaStream_t stream_;
  bool held_ = true;
};

/// Simulated devices; at first what the environment variable CCOMP_CUDA_DEVICES says, or 1. 0: as without a GPU.
/// Returns true: a test asks, because a real machine has not as many as it likes.
bool set_device_count(int);

/// As when the program began: runs all that is queued, on all devices; no kernel is loaded; as many devices as at first, of which this thread's is device 0 again.
void begin_anew();

}  // namespace cudart_sim
