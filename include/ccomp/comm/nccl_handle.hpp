#pragma once
/// An ncclComm_t, who owns it, and whether it still works.

#include <ccomp/comm/nccl_error.hpp>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// Every call of NCCL on a communicator goes through here, so that a failure is noticed once and remembered: after it,
/// an owned communicator has been aborted, a borrowed one is left alone, and both refuse every further call.
class nccl_handle {
 public:
  nccl_handle(ncclComm_t comm, bool owned, std::chrono::milliseconds deadline)
      : comm_(comm), owned_(owned), deadline_(deadline) {
    expects(comm != nullptr, "nccl_communicator: the ncclComm_t is null");
    try {
      check_nccl(ncclCommUserRank(comm, &rank_), "ncclCommUserRank");
      check_nccl(ncclCommCount(comm, &size_), "ncclCommCount");
      check_nccl(ncclCommCuDevice(comm, &device_), "ncclCommCuDevice");
    } catch (...) {
      abort();
      throw;
    }
  }
  nccl_handle(nccl_handle const&) = delete;
  nccl_handle& operator=(nccl_handle const&) = delete;
  /// Never waits: what finalize() has not ended is aborted.
  ~nccl_handle() {
    if (comm_ && owned_ && finalized_) ignore_error(ncclCommDestroy(comm_));
    if (!finalized_) abort();
  }

  [[nodiscard]] ncclComm_t get() const noexcept { return comm_; }
  [[nodiscard]] bool owned() const noexcept { return owned_; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  [[nodiscard]] std::chrono::milliseconds deadline() const noexcept { return deadline_; }
  /// Why it refuses every call; empty while it works.
  [[nodiscard]] std::string const& broken() const noexcept { return broken_; }

  void expect_usable(char const* call, source at = source::current()) const {
    if (broken_.empty()) [[likely]]
      return;
    fail<communicator_error>(sentence(call, ": the communicator is out of use since ", broken_), at);
  }

  /// The result of a call that NCCL answered: success, still in progress (waited for, outside groups), or an exception.
  void settle(ncclResult_t result, char const* call) {
    if (result == ncclSuccess) return;
    if (result != ncclInProgress) refuse(result, call);
    if (open_nccl_groups() > 0) return;
    auto state = ncclInProgress;
    bool const done = poll(deadline_, [&] {
      auto const asked = ncclCommGetAsyncError(comm_, &state);
      if (asked != ncclSuccess) state = asked;
      return state != ncclInProgress;
    });
    if (!done) give_up(std::string(call) + ": still in progress after", deadline_);
    if (state != ncclSuccess) refuse(state, call);
  }

  /// Throws nccl_error if NCCL has noticed an error since the last call.
  void check(char const* call) {
    auto state = ncclSuccess;
    auto const asked = ncclCommGetAsyncError(comm_, &state);
    if (asked != ncclSuccess) state = asked;
    if (state != ncclSuccess && state != ncclInProgress) end<nccl_error>(nccl_text(state, call, comm_));
  }

  /// Waits until a stream has done all that was queued.
  void wait(cudaStream_t stream, std::chrono::milliseconds limit, char const* call) {
    bool const done = poll(limit, [&] {
      auto const status = cudaStreamQuery(stream);
      if (status == cudaSuccess) return true;
      if (status != cudaErrorNotReady) check_cuda(status, "cudaStreamQuery");
      ignore_error(status);  // "not ready" counts as an error there
      check(call);
      return false;
    });
    check(call);
    if (!done) give_up(std::string(call) + ": the stream was not done after", limit);
  }

  void finalize() {
    expects(owned_, "nccl_communicator::finalize: the communicator is borrowed; its owner finalizes it");
    settle(ncclCommFinalize(comm_), "ncclCommFinalize");
    finalized_ = true;
    broken_ = "finalize()";
  }

  /// Ends an owned communicator at once, and with it what its ranks wait for.
  void abort() noexcept {
    if (!owned_) return;
    if (auto* const comm = std::exchange(comm_, nullptr)) ignore_error(ncclCommAbort(comm));
  }
  /// A communicator that failed inside a group can be aborted only when the group has ended.
  void bury() noexcept {
    if (!broken_.empty() && !finalized_ && open_nccl_groups() == 0) abort();
  }

 private:
  /// A call that NCCL did not take. After wrong arguments the communicator still works; after anything else it does
  /// not.
  [[noreturn]] void refuse(ncclResult_t result, char const* call) {
    auto const text = nccl_text(result, call, comm_);
    if (result == ncclInvalidArgument || result == ncclInvalidUsage) fail<nccl_error>(text);
    end<nccl_error>(text);
  }
  [[noreturn]] void give_up(std::string const& what, std::chrono::milliseconds limit) {
    end<timeout>(what + ' ' + std::to_string(limit.count()) + " ms; rank " + std::to_string(rank_) + " of " +
                 std::to_string(size_) +
                 (owned_ ? " has aborted its communicator" : " leaves its borrowed communicator to its owner"));
  }
  template <class Error> [[noreturn]] void end(std::string const& text) {
    broken_ = text;
    bury();
    fail<Error>(text);
  }

  ncclComm_t comm_;
  bool owned_;
  bool finalized_ = false;
  int rank_ = 0, size_ = 1, device_ = 0;
  std::chrono::milliseconds deadline_;
  std::string broken_;
};

/// Where NCCL writes the handle of a communicator that it may still be making: given up, never freed, if it does not
/// come to an end in time.
class nccl_newborn {
 public:
  [[nodiscard]] ncclComm_t* slot() const { return slot_.get(); }

  /// Waits until the communicator is made.
  [[nodiscard]] ncclComm_t finish(ncclResult_t result, std::chrono::milliseconds deadline, char const* call) {
    bool const done = poll(deadline, [&] {
      if (result == ncclInProgress && *slot_ && ncclCommGetAsyncError(*slot_, &result) != ncclSuccess)
        result = ncclInternalError;
      return result != ncclInProgress;
    });
    if (done && result == ncclSuccess) return *slot_;
    auto const text = nccl_text(result, call);
    if (*slot_) ignore_error(ncclCommAbort(*slot_));
    if (done) fail<nccl_error>(text);
    forget();
    fail<timeout>(sentence(call, ": the ranks were not all there after ", deadline.count(), " ms"));
  }
  /// The slot is never freed.
  void forget() {
    static std::mutex mutex;
    static auto* const slots = new std::vector<std::unique_ptr<ncclComm_t>>;  // never freed, and found by leak checkers
    std::lock_guard const lock(mutex);
    slots->push_back(std::move(slot_));
  }

 private:
  std::unique_ptr<ncclComm_t> slot_ = std::make_unique<ncclComm_t>(nullptr);
};

}  // namespace detail
CCOMP_END
