#pragma once
/// Ranks that are threads of one process. For device memory, include comm/thread.cuh too.

#include <ccomp/comm/thread_group.hpp>
#include <ccomp/core/communicator.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/function_ref.hpp>
#include <ccomp/core/joining_threads.hpp>
#include <ccomp/engine/host/typed_sum.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

CCOMP_BEGIN
/// One rank of a thread_group, used by one thread. Its destructor tells the group that the rank is gone. Move-only; what it
/// was moved from is not used any more.
///
/// With a host_exec, the buffers are host memory, and calls return when they are done. With a cuda_exec
/// (comm/thread.cuh), the buffers are memory of its device, and calls return when the work is queued.
class thread_communicator {
 public:
  thread_communicator(thread_group& group, int rank);
  thread_communicator(thread_communicator&& other) noexcept;
  thread_communicator& operator=(thread_communicator&&) = delete;
  ~thread_communicator();

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return group_->size(); }
  [[nodiscard]] bool checksums() const noexcept { return group_->checksums_; }
  [[nodiscard]] std::size_t slice_bytes(host_exec const&) const noexcept { return group_->slice_bytes_; }
  /// For collectives: which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }

  void all_gather(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive);
  void all_to_all(host_exec const&, std::span<std::byte const> send, std::span<std::byte> receive);
  void broadcast(host_exec const&, std::span<std::byte> data, int root);
  /// All ranks call it; buffers do not overlap.
  void exchange(host_exec const&, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from);
  /// Each rank sums one part of the vector over all ranks, in rank order, then takes the others' parts.
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op);
  /// Only the ranks that have messages for each other call it. Returns when all messages are read.
  void transfer(host_exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in);
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
  void transfer(Exec const& ex, std::span<outgoing_message const> out, std::span<incoming_message const> in) {
    detail::thread_transport<Exec>::transfer(*this, ex, out, in);
  }
  template <detail::has_thread_transport Exec>
  void all_reduce(Exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    detail::thread_transport<Exec>::all_reduce(*this, ex, data, n, type, op);
  }
  template <detail::has_thread_transport Exec>
  void agree(Exec const& ex, std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    detail::thread_transport<Exec>::agree(*this, ex, fingerprint, what, describe);
  }

  /// The colour of a rank that split() gives no communicator.
  static constexpr int no_color = -1;
  /// Collective: one communicator for all ranks with the same colour, ordered by key, then by rank here. A colour is 0 or
  /// more; a rank with no_color gets none. The new group lives as long as its communicators, and is as patient as this one.
  [[nodiscard]] std::optional<thread_communicator> split(int color, int key);

 private:
  template <class> friend struct detail::thread_transport;

  /// A rank of a group made by split(), which counts it already.
  thread_communicator(std::shared_ptr<thread_group> own, int rank)
      : own_(std::move(own)), group_(own_.get()), rank_(rank), outer_ranks_(detail::ranks_in_process()) {}

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

  /// A transfer of memory of either kind.
  void post_mail(char const* call, detail::thread_mail::order const& now, std::vector<std::shared_ptr<void>>& readers);

  std::shared_ptr<thread_group> own_;  // a group that split() has made
  thread_group* group_;
  int rank_;
  int outer_ranks_;
  bool failed_ = false;
  std::shared_ptr<void> transport_;
  detail::in_use in_use_;
};

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION thread_communicator::thread_communicator(thread_group& group, int rank)
    : group_(&group), rank_(rank), outer_ranks_(detail::ranks_in_process()) {
  detail::expects(rank >= 0 && rank < group.size(), [&] {
    return detail::sentence("thread_communicator: rank ", rank, " of a group of ", group.size());
  });
  detail::ranks_in_process() = group.size();
  group.join();
}
CCOMP_FUNCTION thread_communicator::thread_communicator(thread_communicator&& other) noexcept
    : own_(std::move(other.own_)),
      group_(std::exchange(other.group_, nullptr)),
      rank_(other.rank_),
      outer_ranks_(other.outer_ranks_),
      failed_(other.failed_),
      transport_(std::move(other.transport_)) {}
[[CCOMP_SMALL]] CCOMP_FUNCTION thread_communicator::~thread_communicator() {
  if (!group_) return;
  if (!own_) detail::ranks_in_process() = outer_ranks_;
  group_->leave(rank_);
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
CCOMP_FUNCTION void thread_communicator::transfer(host_exec const&, std::span<outgoing_message const> out,
                                                  std::span<incoming_message const> in) {
  auto const read = [](incoming_message const& m, void const* from, void*) { copy(from, 0, m.data, 0, m.data.size()); };
  std::vector<std::shared_ptr<void>> readers;
  post_mail("thread_communicator::transfer", {rank_, out, in, group_->patience_, nullptr, read}, readers);
}
CCOMP_FUNCTION void thread_communicator::post_mail(char const* call, detail::thread_mail::order const& now,
                                                   std::vector<std::shared_ptr<void>>& readers) {
  detail::exclusive_use const alone(in_use_, call, "thread_communicator");
  detail::expect_partners(call, now.out, rank_, size());
  detail::expect_partners(call, now.in, rank_, size());
  try {
    group_->mail_.transfer(now, readers);
  } catch (timeout const&) {
    group_->stop_late(group_->mail_.stopped());
    throw;
  }
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
[[CCOMP_SMALL]] CCOMP_FUNCTION std::optional<thread_communicator> thread_communicator::split(int color, int key) {
  constexpr auto call = "thread_communicator::split";
  detail::exclusive_use const alone(in_use_, call, "thread_communicator");
  detail::expects(color >= 0 || color == no_color,
                  [&] { return detail::sentence(call, ": a colour is 0 or more, or no_color, got ", color); });
  struct wish {
    int color, key;
  };
  wish const mine{color, key};
  std::vector<wish> all(index(size()));
  all_gather(host_exec{1}, std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  std::vector<int> members;
  for (int r = 0; r < size(); ++r)
    if (all[index(r)].color == color) members.push_back(r);
  std::ranges::sort(members, {}, [&](int r) { return std::pair(all[index(r)].key, r); });
  // The first of its ranks makes a group, the others take it over.
  std::shared_ptr<thread_group> made;
  bool const makes = color != no_color && members[0] == rank_;
  if (makes) {
    made = std::make_shared<thread_group>(static_cast<int>(members.size()), group_->patience_);
    made->slice_bytes_ = group_->slice_bytes_;
    made->checksums_ = group_->checksums_;
    for (std::size_t i = 0; i < members.size(); ++i) made->join();  // none is the last one out before another has come
  }
  share(std::as_bytes(std::span(&made, 1)), [&] {
    if (color != no_color && !makes) made = *static_cast<std::shared_ptr<thread_group> const*>(post(members[0]).send);
  });
  if (!made) return std::nullopt;
  return thread_communicator(std::move(made), static_cast<int>(std::ranges::find(members, rank_) - members.begin()));
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
        stop(not_started);  // those that run must not wait for the others
      }
  }
  leave("run() has ended");
  if (!not_started.empty()) detail::fail<communicator_error>(detail::sentence("thread_group: ", not_started));
  if (first) std::rethrow_exception(first);
}
#endif

CCOMP_END
