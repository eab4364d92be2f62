#pragma once
/// Messages between two ranks of a thread_group, which no other rank waits for. Part of comm/thread.hpp.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/function_ref.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// One box for each pair of ranks. The sender shows its memory there and returns when the receiver has read it.
///
/// Failure: a rank that waits for one that is gone, failed or is late gets an exception. None returns while another still
///          reads its memory; reading ends by itself
class thread_mail {
 public:
  explicit thread_mail(std::size_t ranks) : boxes_(ranks * ranks), gone_(ranks) {}

  /// What a rank asks for.
  struct order {
    int rank;
    std::span<outgoing_message const> out;
    std::span<incoming_message const> in;
    std::chrono::milliseconds patience;
    std::shared_ptr<void> transport;  // of this rank's device, if its memory is that of one
    function_ref<void(incoming_message const&, void const*, void*)> read;  // reads what a rank shows, by its transport
  };
  /// Sends and receives all messages. `readers`: the transports of those who have read this rank's memory, also after an
  /// exception.
  ///
  /// Throws: rank_mismatch, on both ranks, for another number of bytes or another kind of memory; timeout, after which all
  ///         ranks refuse further messages; communicator_error; what `read` throws
  void transfer(order const& now, std::vector<std::shared_ptr<void>>& readers);

  /// A rank is gone: those that wait for it, or come to wait, get an exception.
  void leave(int rank);
  /// All ranks refuse messages from now on.
  void stop(std::string const& why, bool late);
  /// Why they are stopped; empty: they are not.
  [[nodiscard]] std::string stopped();
  /// A new start, once all ranks are gone.
  void clear();

 private:
  enum class state { empty, shown, being_read, read, refused, failed };
  struct box {
    state now = state::empty;
    std::span<std::byte const> data{};
    std::shared_ptr<void> transport;  // of the sender; once it is read, of the reader
    std::string refusal;
  };

  static std::size_t index(int r) { return static_cast<std::size_t>(r); }
  box& at(int from, int to) { return boxes_[index(from) * gone_.size() + index(to)]; }
  /// Waits for `ready()`, which is true as well when it need not wait any more. `for_whom`: for the message.
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, order const& now, Ready const& ready,
            function_ref<std::string()> for_whom);
  void expect_there(int rank) const;
  void expect_going() const;
  void receive_all(std::unique_lock<std::mutex>& lock, order const& now, std::string& trouble);
  void read_one(std::unique_lock<std::mutex>& lock, order const& now, incoming_message const& m, std::string& trouble);
  void expect_read(std::unique_lock<std::mutex>& lock, order const& now, outgoing_message const& m,
                   std::string& trouble);
  void take_back(std::unique_lock<std::mutex>& lock, order const& now, std::vector<std::shared_ptr<void>>& readers);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<box> boxes_;
  std::vector<char> gone_;
  std::string stopped_;
  bool late_ = false;
};

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void thread_mail::transfer(order const& now, std::vector<std::shared_ptr<void>>& readers) {
  std::unique_lock lock(mutex_);
  expect_going();
  readers.reserve(now.out.size());
  std::string trouble;
  try {
    for (auto const& m : now.out) at(now.rank, m.to) = {state::shown, m.data, now.transport, {}};
    changed_.notify_all();
    receive_all(lock, now, trouble);
    for (auto const& m : now.out) expect_read(lock, now, m, trouble);
  } catch (...) {
    take_back(lock, now, readers);
    throw;
  }
  take_back(lock, now, readers);
  expects<rank_mismatch>(trouble.empty(), [&] { return sentence("thread_communicator: ", trouble); });
}
template <class Ready>
void thread_mail::wait(std::unique_lock<std::mutex>& lock, order const& now, Ready const& ready,
                       function_ref<std::string()> for_whom) {
  auto const over = [&] { return !stopped_.empty() || ready(); };
  // A clock cannot count to the end of longer waits.
  bool woken = true;
  if (now.patience < std::chrono::hours(24 * 365 * 100))
    woken = changed_.wait_for(lock, now.patience, over);
  else
    changed_.wait(lock, over);
  if (woken && ready()) return;
  if (!woken) {
    stopped_ = sentence("rank ", now.rank, " waited ", now.patience.count(), " ms for ", for_whom());
    late_ = true;
    changed_.notify_all();
  }
  expect_going();
}
CCOMP_FUNCTION void thread_mail::expect_going() const {
  if (stopped_.empty()) return;
  if (late_) fail<timeout>(sentence("thread_group: ", stopped_));
  fail<communicator_error>(sentence("thread_group: ", stopped_));
}
CCOMP_FUNCTION void thread_mail::expect_there(int rank) const {
  expects<communicator_error>(!gone_[index(rank)],
                              [&] { return sentence("thread_group: rank ", rank, " has left the group"); });
}
/// In the order in which the messages come.
CCOMP_FUNCTION void thread_mail::receive_all(std::unique_lock<std::mutex>& lock, order const& now,
                                             std::string& trouble) {
  std::vector<incoming_message> missing(now.in.begin(), now.in.end());
  while (!missing.empty()) {
    auto next = missing.end();
    auto const shown = [&](incoming_message const& m) { return at(m.from, now.rank).now == state::shown; };
    auto const gone = [&](incoming_message const& m) { return gone_[index(m.from)] != 0; };
    wait(
        lock, now,
        [&] {
          next = std::ranges::find_if(missing, shown);
          if (next == missing.end()) next = std::ranges::find_if(missing, gone);
          return next != missing.end();
        },
        [&] { return sentence("a message from rank ", missing.front().from); });
    if (!shown(*next)) expect_there(next->from);
    read_one(lock, now, *next, trouble);
    missing.erase(next);
  }
}
CCOMP_FUNCTION void thread_mail::read_one(std::unique_lock<std::mutex>& lock, order const& now,
                                          incoming_message const& m, std::string& trouble) {
  auto& b = at(m.from, now.rank);
  auto const name = [](int rank) { return sentence("rank ", rank); };
  bool const on_device = now.transport != nullptr;
  if ((b.transport != nullptr) != on_device)
    b.refusal = sentence(name(on_device ? m.from : now.rank), " brought host memory, ",
                         name(on_device ? now.rank : m.from), " device memory");
  else if (b.data.size() != m.data.size())
    b.refusal = sentence(name(m.from), " sends ", b.data.size(), " bytes to ", name(now.rank), ", which expects ",
                         m.data.size());
  if (!b.refusal.empty()) {
    trouble = b.refusal;
    b.now = state::refused;
    changed_.notify_all();
    return;
  }
  b.now = state::being_read;
  lock.unlock();
  try {
    now.read(m, b.data.data(), b.transport.get());
  } catch (...) {
    lock.lock();
    b.now = state::failed;
    b.transport = now.transport;
    changed_.notify_all();
    throw;
  }
  lock.lock();
  b.now = state::read;
  b.transport = now.transport;
  changed_.notify_all();
}
CCOMP_FUNCTION void thread_mail::expect_read(std::unique_lock<std::mutex>& lock, order const& now,
                                             outgoing_message const& m, std::string& trouble) {
  auto& b = at(now.rank, m.to);
  auto const handled = [&] { return b.now != state::shown && b.now != state::being_read; };
  wait(
      lock, now, [&] { return handled() || (b.now == state::shown && gone_[index(m.to)]); },
      [&] { return sentence("rank ", m.to, " to receive a message"); });
  if (!handled()) expect_there(m.to);
  expects<communicator_error>(b.now != state::failed, [&] {
    return sentence("thread_group: rank ", m.to, " failed while it read a message of rank ", now.rank);
  });
  if (b.now == state::refused) trouble = b.refusal;
}
CCOMP_FUNCTION void thread_mail::take_back(std::unique_lock<std::mutex>& lock, order const& now,
                                           std::vector<std::shared_ptr<void>>& readers) {
  for (auto const& m : now.out) {
    auto& b = at(now.rank, m.to);
    changed_.wait(lock, [&] { return b.now != state::being_read; });
    if (b.transport && (b.now == state::read || b.now == state::failed)) readers.push_back(std::move(b.transport));
    b = {};
  }
}
CCOMP_FUNCTION void thread_mail::leave(int rank) {
  {
    std::lock_guard const lock(mutex_);
    gone_[index(rank)] = 1;
  }
  changed_.notify_all();
}
[[gnu::cold]] CCOMP_FUNCTION void thread_mail::stop(std::string const& why, bool late) {
  {
    std::lock_guard const lock(mutex_);
    if (stopped_.empty()) {
      stopped_ = why;
      late_ = late;
    }
  }
  changed_.notify_all();
}
CCOMP_FUNCTION std::string thread_mail::stopped() {
  std::lock_guard const lock(mutex_);
  return stopped_;
}
CCOMP_FUNCTION void thread_mail::clear() {
  std::lock_guard const lock(mutex_);
  std::ranges::fill(gone_, 0);
  stopped_.clear();
  late_ = false;
}
#endif

}  // namespace detail
CCOMP_END
