#pragma once
/// What the ranks of one process share: their meetings, and what ends them. Part of comm/thread.hpp.

#include <ccomp/comm/thread_mail.hpp>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
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
      : posts_(static_cast<std::size_t>(check(ranks))), mail_(posts_.size()), patience_(patience), ranks_(ranks) {}
  thread_group(thread_group const&) = delete;
  thread_group& operator=(thread_group const&) = delete;

  [[nodiscard]] int size() const noexcept { return ranks_; }
  /// With a host_exec, collectives code tensors in slices, of which a rank sends another at most about so many bytes: a slice
  /// stays in the caches of the cores. 0: whole tensors. Choose before the ranks begin.
  void use_slices(std::size_t bytes) noexcept { slice_bytes_ = bytes > 0 ? bytes : static_cast<std::size_t>(-1); }
  /// Whether the slots of collectives bear checksums; not at first. Choose before the ranks begin.
  void use_checksums(bool on = true) noexcept { checksums_ = on; }

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
  void leave(int rank) {
    mail_.leave(rank);
    leave(detail::sentence("rank ", rank, " has left the group"));
  }
  /// Every rank is stopped, or told when it comes. With the lock held.
  void stop(std::string const& why, bool late = false);
  void stop_late(std::string const& why) {
    std::lock_guard const lock(mutex_);
    if (broken_.empty()) stop(why, true);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<post> posts_;
  detail::thread_mail mail_;
  std::chrono::milliseconds patience_;
  std::uint64_t round_ = 0;
  int arrived_ = 0;
  int readers_ = 0;  // ranks between their two meetings
  int present_ = 0;
  int ranks_;
  std::size_t slice_bytes_ = std::size_t{256} << 10;
  bool checksums_ = false;
  std::string broken_;
  bool late_ = false;
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
    stop(detail::sentence("rank ", rank, " waited ", patience_.count(), " ms and ", ranks_ - arrived_, " of ", ranks_,
                          " ranks did not arrive"),
         true);
  }
  throw_broken(lock);
}
CCOMP_FUNCTION void thread_group::stop(std::string const& why, bool late) {
  broken_ = why;
  late_ = late;
  mail_.stop(why, late);
  changed_.notify_all();
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
      mail_.clear();
    }
  }
  changed_.notify_all();
}
#endif

CCOMP_END
