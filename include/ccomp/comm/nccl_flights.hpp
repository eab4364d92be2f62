#pragma once
/// Exchanges of an nccl_communicator on a stream of their own, while the caller's stream computes. Part of comm/nccl.hpp.

#include <ccomp/comm/nccl_error.hpp>
#include <ccomp/core/communicator.hpp>
#include <ccomp/exec/cuda.hpp>

#include <memory>
#include <span>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// A stream beside the caller's, and an event for each exchange on it. Events alone order the two, so that a graph can be
/// recorded.
class nccl_side {
 public:
  explicit nccl_side(cuda_exec const& ex) : device_(ex.device()) {
    device_scope const scope(device_);
    check_cuda(cudaEventCreateWithFlags(&fork_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }
  nccl_side(nccl_side const&) = delete;
  nccl_side& operator=(nccl_side const&) = delete;
  ~nccl_side() {
    for (auto const& f : flights_) ignore_error(cudaEventDestroy(f.done));
    ignore_error(cudaEventDestroy(fork_));
    ignore_error(cudaStreamDestroy(stream_));
  }

  [[nodiscard]] int device() const noexcept { return device_; }
  /// `f(exec of this stream)` queues an exchange, once the caller's stream has come so far.
  template <class F> exchange_handle start(cuda_exec const& ex, F const& f) {
    device_scope const scope(device_);
    std::size_t i = 0;
    while (i < flights_.size() && flights_[i].waiting) ++i;
    if (i == flights_.size()) {
      cudaEvent_t made = nullptr;
      check_cuda(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      flights_.push_back({made});
    }
    check_cuda(cudaEventRecord(fork_, ex.stream()), "cudaEventRecord");
    check_cuda(cudaStreamWaitEvent(stream_, fork_, 0), "cudaStreamWaitEvent");
    f(cuda_exec(stream_));
    check_cuda(cudaEventRecord(flights_[i].done, stream_), "cudaEventRecord");
    flights_[i].caller = ex.stream();
    flights_[i].waiting = true;
    return {static_cast<int>(i) + 1};
  }
  /// What the caller's stream does from here on comes after the exchange.
  void join(exchange_handle h) {
    auto& f = flights_[static_cast<std::size_t>(h.number - 1)];
    f.waiting = false;
    check_cuda(cudaStreamWaitEvent(f.caller, f.done, 0), "cudaStreamWaitEvent");
  }
  /// The same for all, after an exception: the caller gives its memory back in the order of its stream.
  void join_all() noexcept {
    for (auto& f : flights_) {
      if (f.waiting) ignore_error(cudaStreamWaitEvent(f.caller, f.done, 0));
      f.waiting = false;
    }
  }

 private:
  struct flight {
    cudaEvent_t done = nullptr;
    cudaStream_t caller = nullptr;
    bool waiting = false;
  };
  int device_;
  cudaEvent_t fork_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::vector<flight> flights_;
};

}  // namespace detail

/// The exchanges that an nccl_communicator `Comm` starts (can_start).
template <class Comm> class nccl_flights {
 public:
  /// `arrived` does not wait: it lets the caller's stream wait.
  static constexpr bool queues = true;

  /// Collectives code tensors in slices, of which a rank sends another at most about so many bytes; one slice is coded on the
  /// caller's stream while others travel on a second one. The same on all ranks. 0, as at first: whole tensors, on one
  /// stream. Within an nccl_group, too.
  void use_slices(std::size_t bytes) noexcept { slice_bytes_ = bytes; }
  void use_slices_of(nccl_flights const& other) noexcept { slice_bytes_ = other.slice_bytes_; }
  [[nodiscard]] std::size_t slice_bytes(cuda_exec const&) const noexcept {
    return aside() ? slice_bytes_ : static_cast<std::size_t>(-1);
  }

  exchange_handle start_all_gather(cuda_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int) {
    return start(ex, [&](cuda_exec const& on) { self().all_gather(on, send, receive); });
  }
  exchange_handle start_all_to_all(cuda_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive,
                                   int) {
    return start(ex, [&](cuda_exec const& on) { self().all_to_all(on, send, receive); });
  }
  exchange_handle start_all_reduce(cuda_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op, int) {
    return start(ex, [&](cuda_exec const& on) { self().all_reduce(on, data, n, type, op); });
  }
  exchange_handle start_exchange(cuda_exec const& ex, std::span<std::byte const> send, int to,
                                 std::span<std::byte> receive, int from, int) {
    return start(ex, [&](cuda_exec const& on) { self().exchange(on, send, to, receive, from); });
  }
  bool arrived(exchange_handle h) {
    if (h.number > 0) side_->join(h);
    return true;
  }
  void rest() {}
  void give_up() noexcept {
    if (side_) side_->join_all();
  }

 private:
  friend Comm;
  nccl_flights() = default;

  Comm& self() { return static_cast<Comm&>(*this); }
  [[nodiscard]] bool aside() const noexcept { return slice_bytes_ > 0 && detail::open_nccl_groups() == 0; }
  template <class F> exchange_handle start(cuda_exec const& ex, F const& f) {
    if (!aside()) {
      f(ex);
      return {};
    }
    if (!side_ || side_->device() != ex.device()) side_ = std::make_unique<detail::nccl_side>(ex);
    return side_->start(ex, f);
  }

  std::unique_ptr<detail::nccl_side> side_;
  std::size_t slice_bytes_ = 0;
};

CCOMP_END
