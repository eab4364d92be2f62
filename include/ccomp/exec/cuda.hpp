#pragma once
/// Where work runs on a GPU: a stream and its device. It contains no kernels, so any C++ compiler can compile this
/// header.

#include <ccomp/core/reach.hpp>
#include <ccomp/exec/cuda_end.hpp>

#include <cstddef>
#include <string>

CCOMP_BEGIN
namespace detail {

/// For calls on the host that get a device pointer by mistake.
inline char const* unreachable_by_host(void const* p) {
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, p) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return found.type == cudaMemoryTypeDevice ? "device memory" : nullptr;
}

/// True within load_kernels: kernels are loaded and nothing is queued, so no state of a wrapper may move on.
inline bool& loading_kernels() noexcept {
  thread_local bool loading = false;
  return loading;
}

inline int current_device() {
  int device = 0, driver = 0;
  auto const status = cudaGetDevice(&device);
  ignore_error(status);
  // Without a driver the runtime calls it too old.
  expects<cuda_error>(
      status != cudaErrorInsufficientDriver || (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0),
      "CUDA: this machine has no NVIDIA driver, so no GPU can be used (cudaErrorInsufficientDriver)");
  check_cuda(status, "cudaGetDevice");
  return device;
}

}  // namespace detail

/// Queues work on a stream of the device that was current when it was made. Calls return at once; the results are there
/// when the stream has reached this point. Results never depend on the device or the grid.
///
/// Throws cuda_error if there is no driver or no device.
class cuda_exec {
 public:
  /// Kernels that loop are launched for so many multiprocessors; 0: all multiprocessors of the device. Fewer leave room
  /// for other work.
  explicit cuda_exec(cudaStream_t stream = nullptr, int multiprocessors = 0)
      : stream_(stream), device_(detail::current_device()), multiprocessors_(multiprocessors) {
    detail::expects(multiprocessors >= 0, [&] {
      return detail::sentence("cuda_exec: multiprocessors must not be negative, got ", multiprocessors);
    });
    if (multiprocessors == 0)
      detail::check_cuda(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device_),
                         "cudaDeviceGetAttribute");
    formats::unreachable_by_host.store(&detail::unreachable_by_host, std::memory_order_relaxed);
  }

  [[nodiscard]] cudaStream_t stream() const noexcept { return stream_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  [[nodiscard]] int multiprocessors() const noexcept { return multiprocessors_; }
  /// Within load_kernels nothing is queued, and no residual may change.
  [[nodiscard]] static bool only_loads() noexcept { return detail::loading_kernels(); }

  /// Waits until everything that was queued so far is done.
  void synchronize() const { detail::check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }
  /// True while the stream records into a graph instead of running. The legacy stream never does; but while another
  /// stream that waits for it records, CUDA allows no work on it: invalid_argument, and that capture goes on.
  [[nodiscard]] bool capturing() const {
    auto status = cudaStreamCaptureStatusNone;
    auto const asked = cudaStreamIsCapturing(stream_, &status);
    if (asked == cudaErrorStreamCaptureImplicit) {
      detail::ignore_error(asked);
      detail::fail(
          "cuda_exec: another stream records a graph, and meanwhile the default (legacy) stream cannot be used; give "
          "cuda_exec a stream of its own, or make the other one with cudaStreamNonBlocking");
    }
    detail::check_cuda(asked, "cudaStreamIsCapturing");
    return status != cudaStreamCaptureStatusNone;
  }
  /// Device memory in the stream's order. Refused while the stream is captured: a graph that allocates would free what
  /// later calls hold.
  [[nodiscard]] void* allocate(std::size_t bytes) const {
    detail::expects(!capturing(), [&] {
      return detail::sentence("cuda_exec::allocate: the stream records a graph, in which ", bytes,
                              " bytes cannot be allocated; make one call of this size before recording");
    });
    auto const end = detail::queue_end::of(device_, stream_);
    void* memory = nullptr;
    detail::check_cuda(cudaMallocAsync(&memory, bytes, stream_), "cudaMallocAsync");
    try {
      detail::device_memory::instance().add(memory, end);
    } catch (...) {
      detail::ignore_error(cudaFreeAsync(memory, stream_));
      throw;
    }
    end->note(stream_, false);
    return memory;
  }
  /// What `allocate` gave, in the stream's order. Not while it records.
  void deallocate(void* memory) const noexcept { detail::device_memory::instance().free_on(memory, stream_); }
  /// The same for destructors: once the calls that were made with it so far are done, those of launched graphs too. Asks
  /// nothing of the stream, which may be gone, or record a graph.
  static void let_go(void* memory) noexcept { detail::device_memory::instance().free(memory); }
  /// Work on memory of `allocate` has been queued, here and not by a call with a workspace: it goes after that.
  void note_use(void const* memory) const {
    auto& all = detail::device_memory::instance();
    if (!all.knows(memory)) return;
    auto const end = detail::queue_end::of(device_, stream_);
    all.use(memory, end);
    end->note(stream_, capturing());
  }

  // In the stream's order. To and from the host: waits, so that the host's memory may be used again (some systems read
  // pageable memory only when the stream has come so far).
  void fill_zero(void* memory, std::size_t bytes) const {
    if (bytes > 0 && !detail::loading_kernels())
      detail::check_cuda(cudaMemsetAsync(memory, 0, bytes, stream_), "cudaMemsetAsync");
  }
  void copy(void* to, void const* from, std::size_t bytes) const {
    if (!detail::loading_kernels()) copy(to, from, bytes, cudaMemcpyDeviceToDevice);
  }
  void copy_from_host(void* to, void const* from, std::size_t bytes) const {
    copy(to, from, bytes, cudaMemcpyHostToDevice);
    if (bytes > 0) synchronize();
  }
  void copy_to_host(void* to, void const* from, std::size_t bytes) const {
    copy(to, from, bytes, cudaMemcpyDeviceToHost);
    synchronize();
  }

 private:
  void copy(void* to, void const* from, std::size_t bytes, cudaMemcpyKind kind) const {
    if (bytes > 0) detail::check_cuda(cudaMemcpyAsync(to, from, bytes, kind, stream_), "cudaMemcpyAsync");
  }

  cudaStream_t stream_;
  int device_, multiprocessors_;
};

namespace detail {

/// For messages.
inline std::string stream_name(cuda_exec const& ex) {
  return sentence(reinterpret_cast<std::uintptr_t>(ex.stream()), " of device ", ex.device());
}

/// The device of the stream is current, as the runtime wants it for launches and allocations.
inline void expect_device(cuda_exec const& ex, char const* call, source at = source::current()) {
  int const now = current_device();
  expects(
      now == ex.device(),
      [&] {
        return sentence(call, ": the stream belongs to device ", ex.device(), ", but device ", now, " is current");
      },
      at);
}

inline char const* memory_kind(cudaMemoryType t) {
  switch (t) {
    case cudaMemoryTypeDevice:
      return "device memory";
    case cudaMemoryTypeManaged:
      return "managed memory";
    case cudaMemoryTypeHost:
      return "pinned host memory";
    default:
      return "pageable host memory";
  }
}

/// Kernels can reach `p`: device or managed memory. Null stands for no values.
inline void expect_device_memory(cuda_exec const& ex, void const* p, char const* call, char const* what,
                                 source at = source::current()) {
  if (!p) return;
  cudaPointerAttributes found{};
  check_cuda(cudaPointerGetAttributes(&found, p), "cudaPointerGetAttributes", at);
  bool const reachable = found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged;
  expects(
      reachable,
      [&] {
        return sentence(call, ": ", what, " must be device memory for a cuda_exec, got ", memory_kind(found.type));
      },
      at);
  expects(
      found.type == cudaMemoryTypeManaged || found.device == ex.device(),
      [&] {
        return sentence(call, ": ", what, " lies on device ", found.device, ", the stream belongs to device ",
                        ex.device());
      },
      at);
}

}  // namespace detail
CCOMP_END
