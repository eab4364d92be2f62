#pragma once
/// Loads kernels before they are needed.

#include <ccomp/comm/thread.hpp>
#include <ccomp/engine/cuda/typed_sum.cuh>

#include <concepts>

CCOMP_BEGIN
namespace detail {

class kernel_loading {
 public:
  explicit kernel_loading(cuda_exec const& ex) : before_(loading_kernels()) {
    expect_device(ex, "load_kernels");
    expects(!ex.capturing(), "load_kernels: the stream records a graph; load before recording");
    loading_kernels() = true;
  }
  kernel_loading(kernel_loading const&) = delete;
  kernel_loading& operator=(kernel_loading const&) = delete;
  ~kernel_loading() { loading_kernels() = before_; }

 private:
  bool before_;
};

template <class Comm> struct asks_like {};
template <class Comm>
requires requires { Comm::agrees_once; }
struct asks_like<Comm> {
  static constexpr bool agrees_once = Comm::agrees_once;
};

/// Stands for a communicator while kernels are loaded: the same rank and size, and nothing is sent.
template <class Comm> class silent_ranks : public asks_like<Comm> {
 public:
  explicit silent_ranks(Comm& comm) : rank_(comm.rank()), size_(comm.size()) {}
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

  void all_gather(cuda_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
  void all_to_all(cuda_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
  void broadcast(cuda_exec const&, std::span<std::byte>, int) {}
  void exchange(cuda_exec const&, std::span<std::byte const>, int, std::span<std::byte>, int) {}
  void all_reduce(cuda_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    if constexpr (std::same_as<Comm, thread_communicator>)
      typed_sum(ex, {static_cast<std::byte const*>(data), 0, 1, data, n, type, op});
  }

 private:
  int rank_, size_;
};

}  // namespace detail

/// Loads the kernels of the calls in `calls`. Make these calls as you will make them later: with the same chain, sizes,
/// workspace and wrapper. Nothing is queued or sent, and no tensor or residual changes. The workspace takes the memory
/// that the calls need. `calls` gets a stand-in for the communicator.
///
///   load_kernels(ex, comm, [&](auto& ranks) { allreduce(ex, ranks, feedback, gradient, ws, {.at = 0}); });
///
/// Why:    unless CUDA_MODULE_LOADING=EAGER, CUDA loads a kernel at its first launch, which may wait for everything
///         that runs on the device. If ranks are threads of one process, it may wait for a rank that waits for this
///         one: a deadlock
/// When:   every rank calls it once, before any rank makes its first call
/// Not:    kernels that NCCL and cuBLAS load; decompress, and compress with a threshold, because they read bytes
/// Throws: invalid_argument while the stream records a graph, and what the calls throw
template <class Comm, class Calls> void load_kernels(cuda_exec const& ex, Comm& comm, Calls const& calls) {
  detail::silent_ranks<Comm> ranks(comm);
  detail::kernel_loading const loading(ex);
  calls(ranks);
}
/// The same for calls without ranks: `load_kernels(ex, [&] { encode(ex, c, x, payload, ws); });`
template <class Calls> void load_kernels(cuda_exec const& ex, Calls const& calls) {
  detail::kernel_loading const loading(ex);
  calls();
}

CCOMP_END
