#pragma once
/// Scratch memory on a GPU, memory that graphs still need, reports of kernels, and handles of libraries.

#include <ccomp/core/workspace.hpp>
#include <ccomp/exec/cuda_status.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <string_view>
#include <typeindex>
#include <vector>

CCOMP_BEGIN

/// Device memory that calls use while they run; its content does not survive a call.
///
/// Memory:  grows at the first call of a size, in the order of the stream; a call of a size seen before allocates
///          nothing. Captured graphs stay valid when it grows: the memory of a recorded graph is kept until `release()`
/// Lent:    `workspace ws{ex, bytes}` uses the lent buffer, and throws invalid_argument when a call needs more
/// Capture: a call that needs more memory than the workspace has throws invalid_argument, because a graph that
///          allocates would free memory of later calls. Make one call of the size before recording
/// Reports: kernels cannot throw. They report a payload that no encode produces, or that belongs to another call, in
///          pinned memory. The next call that uses the workspace throws (payload_error, rank_mismatch) if the report
///          has arrived by then; `check()` waits for the stream and throws now
/// Threads: one workspace serves one call at a time
/// Lasting: the destructor neither waits nor throws, and does not use the stream, which may be gone or record a graph.
///          The memory is freed when the calls made so far are done, those of launched graphs included. Do not launch a
///          graph after the destruction of the workspace that it was recorded with
/// Stream:  the stream of the exec that it was made with; a call on another stream or device throws invalid_argument
template <> class workspace<cuda_exec> {
 public:
  explicit workspace(cuda_exec ex = cuda_exec{}) : ex_(ex) {}
  workspace(cuda_exec ex, std::span<std::byte> lent) : ex_(ex), memory_(lent), owns_(false) {}
  workspace(workspace&& other) noexcept : ex_(other.ex_) { swap(other); }
  workspace& operator=(workspace&& other) noexcept {
    swap(other);
    return *this;
  }
  workspace(workspace const&) = delete;
  workspace& operator=(workspace const&) = delete;
  ~workspace() {
    let_go([](void* memory) { cuda_exec::let_go(memory); });
    if (status_) detail::status_pool::give_back(status_, *end_);
  }

  /// At least `bytes`, aligned to 16; whatever it held before is lost. `call`: who asks, for what is thrown.
  std::span<std::byte> reserve(std::size_t bytes, char const* call = "workspace") {
    std::size_t const skip = (16 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 16) % 16;
    if (bytes + skip > memory_.size() && bytes > 0) {
      detail::expects(owns_, [&] {
        return detail::sentence(call, ": the lent buffer has ", memory_.size(), " bytes and the call needs ",
                                bytes + skip);
      });
      detail::expects(!ex_.capturing(), [&] {
        return detail::sentence(call, ": the stream records a graph, the workspace has ", memory_.size(),
                                " bytes and the call needs ", bytes,
                                "; make one call of this size before recording, or lend memory");
      });
      make_end();
      auto* const fresh = static_cast<std::byte*>(ex_.allocate(bytes));
      set_aside();
      memory_ = {fresh, bytes};
      return memory_;
    }
    if (!in_graph_ && owns_ && ex_.capturing()) in_graph_ = true;
    return bytes > 0 ? memory_.subspan(skip) : std::span<std::byte>{};
  }

  /// For calls: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }
  /// For calls that failed while a transport still reads or writes the memory: own memory is not freed before the
  /// program ends, and the next call takes other memory. Who lends memory keeps it until then.
  void keep_until_exit() {
    if (owns_ && memory_.data()) detail::keep_until_exit(memory_.data());
    if (owns_) memory_ = {};
  }
  /// Bytes held now for calls to come.
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }
  /// Bytes held for graphs alone.
  [[nodiscard]] std::size_t size_for_graphs() const noexcept {
    std::size_t bytes = 0;
    for (auto const& old : kept_for_graphs_) bytes += old.size();
    return bytes;
  }
  /// Frees all memory in the order of the stream or, while the stream records a graph, when the calls made so far are
  /// done. Do not launch graphs recorded with it any more.
  void release() noexcept {
    bool runs = false;
    if (memory_.data() || !kept_for_graphs_.empty()) {
      auto state = cudaStreamCaptureStatusNone;
      auto const asked = cudaStreamIsCapturing(ex_.stream(), &state);
      detail::ignore_error(asked);
      runs = asked == cudaSuccess && state == cudaStreamCaptureStatusNone;
    }
    let_go([&](void* memory) { runs ? ex_.deallocate(memory) : cuda_exec::let_go(memory); });
  }

  /// Waits until everything that was queued is done, then throws what kernels have reported. Returns how many values
  /// reached a threshold and found no room in a payload since the last `check`. This is legal: error feedback keeps
  /// these values.
  std::size_t check() {
    ex_.synchronize();
    raise("workspace::check");
    return status_ ? status_->take_overflow() : 0;
  }

  /// For calls: memory is taken and given back in the order of one stream, so calls on another may not use it.
  void expect_stream(cuda_exec const& ex, char const* call) const {
    detail::expects(ex.stream() == ex_.stream() && ex.device() == ex_.device(), [&] {
      return detail::sentence(call, ": the workspace belongs to stream ", detail::stream_name(ex_),
                              ", the call to stream ", detail::stream_name(ex), "; make a workspace for each stream");
    });
  }
  /// For calls that use memory of a wrapper: it goes after them.
  void note_use(void const* memory) {
    auto& all = detail::device_memory::instance();
    if (!memory || !all.knows(memory)) return;
    make_end();
    all.use(memory, end_);
  }
  /// For calls, when all is queued.
  void note_end(bool recording) const noexcept {
    if (end_) end_->note(ex_.stream(), recording);
  }
  /// For calls: throws what is known so far, without waiting. `earlier`: of calls before this one.
  void raise(char const* call, bool earlier = true) {
    if (!status_) return;
    if (auto const other = status_->take_other_call()) {
      std::string const who =
          detail::sentence(call, earlier ? ": on an earlier call with this workspace rank " : ": rank ", other->rank);
      char const* const end = earlier ? "; do not use its results" : "";
      if (other->damaged)
        detail::fail<payload_error>(
            detail::sentence(who, " sent bytes that were changed on their way: their checksum does not match", end));
      detail::fail<rank_mismatch>(detail::sentence(who, " sent bytes of another call (fingerprint ", other->fingerprint,
                                                   ", step ", other->sequence, "; here ", other->own_fingerprint,
                                                   ", step ", other->own_sequence, ")", end));
    }
    if (status_->take_bad_payload())
      detail::fail<payload_error>(
          std::string(call) +
          ": an earlier call with this workspace decoded a payload that no encode produces; its wrong "
          "parts were skipped");
  }
  /// For calls: where their kernels report.
  [[nodiscard]] detail::device_status* status(char const* call = "workspace") {
    if (!status_) {
      expect_no_capture(call);
      make_end();
      status_ = detail::status_pool::instance().take();
    }
    return status_;
  }
  /// For calls: an object made by `T(ex)` on first use and kept until `release()`, such as a library's handle.
  template <class T> T& kept(std::string_view call = "workspace") {
    for (auto const& o : objects_)
      if (o.type == typeid(T)) return *static_cast<T*>(o.object.get());
    expect_no_capture(call);
    auto made = std::make_shared<T>(ex_);
    objects_.push_back({typeid(T), made});
    return *made;
  }

 private:
  void make_end() {
    if (!end_) end_ = detail::queue_end::of(ex_.device(), ex_.stream());
  }
  struct kept_object {
    std::type_index type;
    std::shared_ptr<void> object;
  };

  void expect_no_capture(std::string_view call) const {
    detail::expects(!ex_.capturing(), [&] {
      return detail::sentence(
          call, ": the stream records a graph and the workspace is new; make one call of this kind before recording");
    });
  }
  template <class Free> void let_go(Free const& free) noexcept {
    for (auto const& old : kept_for_graphs_) free(old.data());
    kept_for_graphs_.clear();
    if (owns_ && memory_.data()) free(memory_.data());
    if (owns_) memory_ = {};
    in_graph_ = false;
    objects_.clear();
  }
  void set_aside() {
    if (in_graph_)
      kept_for_graphs_.push_back(memory_);
    else if (memory_.data())
      ex_.deallocate(memory_.data());
    in_graph_ = false;
  }
  void swap(workspace& other) noexcept {
    std::swap(ex_, other.ex_);
    std::swap(memory_, other.memory_);
    std::swap(owns_, other.owns_);
    std::swap(in_graph_, other.in_graph_);
    std::swap(kept_for_graphs_, other.kept_for_graphs_);
    std::swap(objects_, other.objects_);
    std::swap(status_, other.status_);
    std::swap(end_, other.end_);
  }

  cuda_exec ex_;
  std::span<std::byte> memory_{};
  bool owns_ = true, in_graph_ = false;  // in_graph_: a graph was recorded with this memory
  std::vector<std::span<std::byte>> kept_for_graphs_;
  std::vector<kept_object> objects_;
  detail::device_status* status_ = nullptr;
  detail::in_use in_use_;
  std::shared_ptr<detail::queue_end> end_;  // of the calls, where something waits for it
};

namespace detail {

/// A call that queues work on the workspace's stream, from its making on; its end is noted even where it throws, but
/// nothing joins a graph then: most calls that throw while the stream records are refused ones. Refuses what CUDA would
/// refuse with every launch: the legacy stream beside a capture.
class queued_call {
 public:
  queued_call(cuda_exec const& ex, workspace<cuda_exec> const& ws) : ws_(ws), recording_(ex.capturing()) {}
  queued_call(queued_call const&) = delete;
  queued_call& operator=(queued_call const&) = delete;
  ~queued_call() {
    if (!recording_ || std::uncaught_exceptions() == exceptions_) ws_.note_end(recording_);
  }

 private:
  workspace<cuda_exec> const& ws_;
  bool recording_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace detail

CCOMP_END
