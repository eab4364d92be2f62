#pragma once
/// Ranks that are threads of one process. For device memory, include comm/thread.cuh too.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/function_ref.hpp>
#include <ccomp/core/joining_threads.hpp>
#include <ccomp/engine/host/typed_sum.hpp>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// What thread_communicator does with memory that is not host memory; comm/thread.cuh defines it for a cuda_exec.
template <class Exec> struct thread_transport;
template <class Exec>
concept has_thread_transport = requires { sizeof(thread_transport<Exec>); };

/// The partners of an `exchange`; -1 in any other call.
struct thread_partners {
  int to = -1, from = -1;
  std::size_t receive_bytes = 0;
};

}  // namespace detail

class thread_communicator;

/// The state that the ranks of one process share. Create it once. Then `run` a function on every rank, or give each of
/// your own threads a `thread_communicator{group, rank}`.
class thread_group {
 public:
  explicit thread_group(int ranks, std::chrono::milliseconds patience = std::chrono::minutes(10))
      : posts_(static_cast<std::size_t>(check(ranks))), patience_(patience), ranks_(ranks) {}
  thread_group(thread_group const&) = delete;
  thread_group& operator=(thread_group const&) = delete;

  [[nodiscard]] int size() const noexcept { return ranks_; }

  /// Calls `f(thread_communicator&)` on one thread per rank and returns when all have ended. If a rank throws, the
  /// others get an exception at their current or next collective, and `run` throws what the first rank threw.
  template <class F> void run(F const& f) {
    run_ranks([&](thread_communicator& comm) { f(comm); });
  }

 private:
  friend class thread_communicator;
  template <class> friend struct detail::thread_transport;

  void run_ranks(detail::function_ref<void(thread_communicator&)> f);

  /// What a rank shows the others during one exchange.
  struct alignas(64) post {
    void const* send = nullptr;
    std::size_t bytes = 0;
    std::uint64_t fingerprint = 0;
    void const* what = nullptr;
    std::string (*describe)(void const*) = nullptr;
    std::shared_ptr<void> transport;  // of the device, if memory of one is shown
    detail::thread_partners with;
  };

  static int check(int ranks);

  /// An exchange has two meetings. Between them every rank reads what the others show.
  enum class meeting { before_reading, after_reading };

  /// All ranks arrive, or every rank throws: no rank waits for a rank that left, failed or is late. But no rank returns
  /// while another still reads its memory, because its caller would free it. Reading ends by itself.
  void arrive(int rank, meeting now);
  void stop_reading();
  /// A rank whose reading failed does not come to the second meeting. It continues only when no rank reads its memory.
  void fail_reading();
  /// The others wait at a meeting that this rank did not come to: no other can follow.
  [[noreturn]] void refuse_failed(int rank);
  [[noreturn]] void throw_broken(std::unique_lock<std::mutex>& lock);
  void join();
  /// A rank is gone. This is harmless if the others are done as well; ranks that wait, or come to wait, get an
  /// exception. Once all are gone, the group can be used again.
  void leave(std::string const& who);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<post> posts_;
  std::chrono::milliseconds patience_;
  std::uint64_t round_ = 0;
  int arrived_ = 0;
  int readers_ = 0;  // ranks between their two meetings
  int present_ = 0;
  int ranks_;
  std::string broken_;
  bool late_ = false;
};

/// One rank of a thread_group, used by one thread. Its destructor tells the group that the rank is gone.
///
/// With a host_exec, the buffers are host memory, and calls return when they are done. With a cuda_exec
/// (comm/thread.cuh), the buffers are memory of its device, and calls return when the work is queued.
class thread_communicator {
 public:
  thread_communicator(thread_group& group, int rank);
  thread_communicator(thread_communicator const&) = delete;
  thread_communicator& operator=(thread_communicator const&) = delete;
  ~thread_communicator();

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return group_->size(); }
  /// For collectives: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }

  void all_gather(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive);
  void all_to_all(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive);
  void broadcast(host_exec const&, std::span<std::byte> data, int root);
  /// All ranks call it; buffers do not overlap.
  void exchange(host_exec const&, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from);
  /// Each rank sums one part of the vector over all ranks, in rank order, then takes the others' parts.
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op);
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*));

  template <detail::has_thread_transport Exec>
  void all_gather(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    detail::thread_transport<Exec>::all_gather(*this, ex, send, receive);
  }
  template <detail::has_thread_transport Exec>
  void all_to_all(Exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    detail::thread_transport<Exec>::all_to_all(*this, ex, send, receive);
  }
  template <detail::has_thread_transport Exec> void broadcast(Exec const& ex, std::span<std::byte> data, int root) {
    detail::thread_transport<Exec>::broadcast(*this, ex, data, root);
  }
  template <detail::has_thread_transport Exec>
  void exchange(Exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    detail::thread_transport<Exec>::exchange(*this, ex, send, to, receive, from);
  }
  template <detail::has_thread_transport Exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    detail::thread_transport<Exec>::all_reduce(*this, ex, data, n, type, op);
  }
  template <detail::has_thread_transport Exec>
  void agree(Exec const& ex, std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    detail::thread_transport<Exec>::agree(*this, ex, fingerprint, what, describe);
  }

 private:
  template <class> friend struct detail::thread_transport;

  static std::size_t index(int r) { return static_cast<std::size_t>(r); }
  thread_group::post& post(int r) { return group_->posts_[index(r)]; }
  static void copy(void const* from, std::size_t offset, std::span<std::byte> to, std::size_t at, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to.data() + at, static_cast<std::byte const*>(from) + offset, bytes);
  }
  /// Meets the other ranks, reads what they show, and meets them again.
  void meet(detail::function_ref<void()> read);
  /// Every rank shows a buffer, every rank reads, and no rank returns while another still reads.
  void share(std::span<std::byte const> send, detail::function_ref<void()> read,
             std::shared_ptr<void> transport = nullptr, detail::thread_partners with = {});
  /// What rank r shows, beside what this rank shows; empty: they fit.
  [[nodiscard]] std::string mismatch(int r);
  void expect_rank(int r, char const* what) const;

  thread_group* group_;
  int rank_;
  int outer_ranks_;
  bool failed_ = false;
  std::shared_ptr<void> transport_;
  detail::in_use in_use_;
};

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION int thread_group::check(int ranks) {
  detail::expects(ranks >= 1, [&] { return detail::sentence("thread_group: needs at least 1 rank, got ", ranks); });
  return ranks;
}
CCOMP_FUNCTION void thread_group::arrive(int rank, meeting now) {
  std::unique_lock lock(mutex_);
  if (now == meeting::after_reading) stop_reading();
  if (!broken_.empty()) throw_broken(lock);
  std::uint64_t const round = round_;
  if (++arrived_ == ranks_) {
    arrived_ = 0;
    ++round_;
    if (now == meeting::before_reading) readers_ = ranks_;
    lock.unlock();
    changed_.notify_all();
    return;
  }
  auto const over = [&] { return round_ != round || !broken_.empty(); };
  // A clock cannot count to the end of longer waits.
  bool woken = true;
  if (patience_ < std::chrono::hours(24 * 365 * 100))
    woken = changed_.wait_for(lock, patience_, over);
  else
    changed_.wait(lock, over);
  if (round_ != round) return;
  if (!woken) {
    broken_ = detail::sentence("rank ", rank, " waited ", patience_.count(), " ms and ", ranks_ - arrived_, " of ",
                               ranks_, " ranks did not arrive");
    late_ = true;
    changed_.notify_all();
  }
  throw_broken(lock);
}
CCOMP_FUNCTION void thread_group::stop_reading() {
  if (--readers_ == 0) changed_.notify_all();
}
CCOMP_FUNCTION void thread_group::fail_reading() {
  std::unique_lock lock(mutex_);
  stop_reading();
  changed_.wait(lock, [&] { return readers_ == 0; });
}
[[gnu::cold]] CCOMP_FUNCTION void thread_group::refuse_failed(int rank) {
  std::unique_lock lock(mutex_);
  if (broken_.empty()) broken_ = detail::sentence("rank ", rank, " failed in an exchange");
  changed_.notify_all();
  throw_broken(lock);
}
[[gnu::cold]] CCOMP_FUNCTION void thread_group::throw_broken(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return readers_ == 0; });
  if (late_) detail::fail<timeout>(detail::sentence("thread_group: ", broken_));
  detail::fail<communicator_error>(detail::sentence("thread_group: ", broken_));
}
CCOMP_FUNCTION void thread_group::join() {
  std::lock_guard const lock(mutex_);
  ++present_;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION void thread_group::leave(std::string const& who) {
  {
    std::lock_guard const lock(mutex_);
    if (broken_.empty()) broken_ = who;
    if (--present_ == 0) {
      broken_.clear();
      late_ = false;
      arrived_ = 0;
    }
  }
  changed_.notify_all();
}
CCOMP_FUNCTION thread_communicator::thread_communicator(thread_group& group, int rank)
    : group_(&group), rank_(rank), outer_ranks_(detail::ranks_in_process()) {
  detail::expects(rank >= 0 && rank < group.size(), [&] {
    return detail::sentence("thread_communicator: rank ", rank, " of a group of ", group.size());
  });
  detail::ranks_in_process() = group.size();
  group.join();
}
[[CCOMP_SMALL]] CCOMP_FUNCTION thread_communicator::~thread_communicator() {
  detail::ranks_in_process() = outer_ranks_;
  group_->leave(detail::sentence("rank ", rank_, " has left the group"));
}
CCOMP_FUNCTION void thread_communicator::all_gather(host_exec const&, std::span<std::byte const> send,
                                                    std::span<std::byte> receive) {
  share(send, [&] {
    for (int r = 0; r < size(); ++r) copy(post(r).send, 0, receive, index(r) * send.size(), send.size());
  });
}
CCOMP_FUNCTION void thread_communicator::all_to_all(host_exec const&, std::span<std::byte const> send,
                                                    std::span<std::byte> receive) {
  std::size_t const slot = send.size() / index(size());
  share(send, [&] {
    for (int r = 0; r < size(); ++r) copy(post(r).send, index(rank_) * slot, receive, index(r) * slot, slot);
  });
}
CCOMP_FUNCTION void thread_communicator::broadcast(host_exec const&, std::span<std::byte> data, int root) {
  share(data, [&] {
    if (rank_ != root) copy(post(root).send, 0, data, 0, data.size());
  });
}
CCOMP_FUNCTION void thread_communicator::exchange(host_exec const&, std::span<std::byte const> send, int to,
                                                  std::span<std::byte> receive, int from) {
  expect_rank(to, "the receiver");
  expect_rank(from, "the sender");
  share(send, [&] { copy(post(from).send, 0, receive, 0, receive.size()); }, nullptr, {to, from, receive.size()});
}
CCOMP_FUNCTION void thread_communicator::all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type,
                                                    wire_op op) {
  std::size_t const width = wire_bytes(type), ranks = index(size());
  auto bounds = [&](int r) { return n * index(r) / ranks; };
  std::size_t const begin = bounds(rank_), end = bounds(rank_ + 1);
  std::span<std::byte> const bytes{static_cast<std::byte*>(data), n * width};
  share(bytes, [&] {  // nobody else reads this rank's part, so it may be written in place
    std::vector<void const*> sources(ranks);
    for (int r = 0; r < size(); ++r) sources[index(r)] = static_cast<std::byte const*>(post(r).send) + begin * width;
    detail::typed_sum(ex, sources, end - begin, type, op, bytes.data() + begin * width);
  });
  share(bytes, [&] {
    for (int r = 0; r < size(); ++r)
      if (r != rank_)
        copy(post(r).send, bounds(r) * width, bytes, bounds(r) * width, (bounds(r + 1) - bounds(r)) * width);
  });
}
CCOMP_FUNCTION void thread_communicator::agree(std::uint64_t fingerprint, void const* what,
                                               std::string (*describe)(void const*)) {
  detail::exclusive_use const alone(in_use_, "thread_communicator::agree", "thread_communicator");
  auto& mine = post(rank_);
  mine.fingerprint = fingerprint;
  mine.what = what;
  mine.describe = describe;
  std::string trouble;
  meet([&] {
    for (int r = 0; r < size() && trouble.empty(); ++r)
      if (post(r).fingerprint != post(0).fingerprint)
        trouble = detail::sentence("rank 0 calls ", post(0).describe(post(0).what), ", rank ", r, " calls ",
                                   post(r).describe(post(r).what));
  });
  if (!trouble.empty()) detail::fail<rank_mismatch>(detail::sentence("the ranks disagree: ", trouble));
}
CCOMP_FUNCTION void thread_communicator::meet(detail::function_ref<void()> read) {
  if (failed_) group_->refuse_failed(rank_);
  group_->arrive(rank_, thread_group::meeting::before_reading);
  try {
    read();
  } catch (...) {
    failed_ = true;
    group_->fail_reading();
    throw;
  }
  group_->arrive(rank_, thread_group::meeting::after_reading);
}
CCOMP_FUNCTION void thread_communicator::share(std::span<std::byte const> send, detail::function_ref<void()> read,
                                               std::shared_ptr<void> transport, detail::thread_partners with) {
  detail::exclusive_use const alone(in_use_, "thread_communicator", "thread_communicator");
  auto& mine = post(rank_);
  mine.send = send.data();
  mine.bytes = send.size();
  mine.transport = std::move(transport);
  mine.with = with;
  // A wrong size would have this rank read past another's buffer, another kind of memory cannot be read at all.
  std::string trouble;
  meet([&] {
    for (int r = 0; r < size() && trouble.empty(); ++r) trouble = mismatch(r);
    if (trouble.empty()) read();
  });
  if (!trouble.empty()) detail::fail<rank_mismatch>(detail::sentence("thread_communicator: ", trouble));
}
CCOMP_FUNCTION std::string thread_communicator::mismatch(int r) {
  auto const &mine = post(rank_), &other = post(r);
  auto const name = [](int rank) { return detail::sentence("rank ", rank); };
  bool const on_device = mine.transport != nullptr;
  if ((other.transport != nullptr) != on_device)
    return detail::sentence(name(on_device ? r : rank_), " brought host memory, ", name(on_device ? rank_ : r),
                            " device memory");
  bool const exchanges = mine.with.to >= 0;
  if ((other.with.to >= 0) != exchanges)
    return detail::sentence(name(exchanges ? rank_ : r), " exchanges, ", name(exchanges ? r : rank_), " does not");
  if (!exchanges) {
    if (other.bytes == mine.bytes) return {};
    return detail::sentence(name(r), " brought ", other.bytes, " bytes, ", name(rank_), " ", mine.bytes);
  }
  int const to = other.with.to;
  auto const& receiver = post(to);
  if (receiver.with.to < 0) return detail::sentence(name(r), " exchanges, ", name(to), " does not");
  if (receiver.with.from != r)
    return detail::sentence(name(r), " sends to ", name(to), ", which receives from ", name(receiver.with.from));
  if (receiver.with.receive_bytes != other.bytes)
    return detail::sentence(name(r), " sends ", other.bytes, " bytes to ", name(to), ", which expects ",
                            receiver.with.receive_bytes);
  return {};
}
CCOMP_FUNCTION void thread_communicator::expect_rank(int r, char const* what) const {
  detail::expects(0 <= r && r < size(), [&] {
    return detail::sentence("thread_communicator::exchange: ", what, " is rank ", r, " of a group of ", size());
  });
}
[[CCOMP_SMALL]] CCOMP_FUNCTION void thread_group::run_ranks(detail::function_ref<void(thread_communicator&)> f) {
  std::exception_ptr first;
  std::mutex first_mutex;
  std::string not_started;
  {
    auto const rank = [&](int r) {
      thread_communicator comm(*this, r);
      try {
        f(comm);
      } catch (...) {  // noted before `comm` goes and stops the others, whose errors only follow from this one
        std::lock_guard const lock(first_mutex);
        if (!first) first = std::current_exception();
      }
    };
    detail::joining_threads threads(static_cast<std::size_t>(ranks_));
    join();  // a rank that ends before another has begun must not look like the last one out
    for (int r = 0; r < ranks_ && not_started.empty(); ++r) try {
        threads.start(rank, r);
      } catch (std::exception const& e) {
        not_started = detail::sentence("the thread of rank ", r, " cannot be started (", e.what(), ")");
        std::lock_guard const lock(mutex_);
        broken_ = not_started;  // those that run must not wait for the others
        changed_.notify_all();
      }
  }
  leave("run() has ended");
  if (!not_started.empty()) detail::fail<communicator_error>(detail::sentence("thread_group: ", not_started));
  if (first) std::rethrow_exception(first);
}
#endif

CCOMP_END
