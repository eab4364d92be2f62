#pragma once
/// Checks that a communicator does what collectives rely on. For authors of communicators, with any test framework.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/random.hpp>
#include <ccomp/core/storage.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

CCOMP_BEGIN
namespace testing {

struct communicator_options {
  /// all_reduce adds in rank order, 16-bit floats in float32. Set it to false for a transport that adds in another
  /// order, such as NCCL.
  bool rank_order = true;
  /// How long one call may take on any rank.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
  /// Called on its own thread if a call takes longer. It may release the call or end the program. If there is none, the
  /// program ends, because nothing else can stop the call.
  std::function<void(std::string const&)> on_hang{};
};

namespace detail {

using ccomp::detail::storage;

/// Reports a call that has not returned in time.
class watch {
 public:
  watch(std::string what, communicator_options const& options)
      : thread_([this, what = std::move(what), &options] {
          std::unique_lock lock(mutex_);
          if (returned_.wait_for(lock, options.patience, [&] { return done_; })) return;
          late_ = true;
          if (options.on_hang) return options.on_hang(what + " has not returned");
          std::fprintf(stderr, "ccomp::testing::check_communicator: %s has not returned\n", what.c_str());
          std::_Exit(1);
        }) {}
  watch(watch const&) = delete;
  watch& operator=(watch const&) = delete;
  ~watch() { end(); }
  /// True if the call came back in time.
  bool end() {
    {
      std::lock_guard const lock(mutex_);
      done_ = true;
    }
    returned_.notify_all();
    if (thread_.joinable()) thread_.join();
    return !late_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  bool done_ = false, late_ = false;
  std::thread thread_;
};

/// Memory of the exec, with a margin on either side that must not be written.
template <class Exec> class buffer {
 public:
  buffer(Exec const& ex, std::vector<std::byte> const& bytes)
      : memory_(ex, bytes.size() + 2 * margin), n_(bytes.size()) {
    std::vector<std::byte> all(margin, mark);
    all.insert(all.end(), bytes.begin(), bytes.end());
    all.resize(n_ + 2 * margin, mark);
    memory_.load(all.data());
  }
  [[nodiscard]] std::span<std::byte> span() const { return memory_.span().subspan(margin, n_); }
  /// What it holds now; `whole` is false if a margin was written to.
  [[nodiscard]] std::vector<std::byte> bytes(bool& whole) const {
    std::vector<std::byte> all(n_ + 2 * margin);
    memory_.save(all.data());
    for (std::size_t i = 0; i < margin; ++i) whole = whole && all[i] == mark && all[all.size() - 1 - i] == mark;
    return {all.begin() + margin, all.end() - margin};
  }
  void overwrite(std::byte with) {
    std::vector<std::byte> const all(n_ + 2 * margin, with);
    memory_.load(all.data());
  }

 private:
  static constexpr std::size_t margin = 64;
  static constexpr std::byte mark{0xa5};
  storage<std::byte, Exec> memory_;
  std::size_t n_;
};

/// What rank `from` sends to rank `to` in a round: every byte says whose it is.
inline std::vector<std::byte> message(int from, int to, std::size_t bytes, std::uint64_t round) {
  std::vector<std::byte> m(bytes);
  std::uint64_t const who = hash64(hash64(round, static_cast<std::uint64_t>(from)), static_cast<std::uint64_t>(to));
  for (std::size_t i = 0; i < bytes; ++i) m[i] = static_cast<std::byte>(hash64(who, i / 8) >> (i % 8 * 8));
  return m;
}
inline void append(std::vector<std::byte>& all, std::vector<std::byte> const& part) {
  all.insert(all.end(), part.begin(), part.end());
}

/// Numbers of a type whose sum depends on the order in which they are added.
template <class T> std::vector<T> numbers(int rank, std::size_t n) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t const u = hash64(static_cast<std::uint64_t>(rank) + 77, i);
    if constexpr (std::is_integral_v<T>) {
      x[i] = static_cast<T>(u);
    } else {
      float const size = static_cast<float>(std::int64_t{1} << (u % (std::is_same_v<T, float16> ? 11 : 41)));
      x[i] = T((u >> 32 & 1 ? -1.0f : 1.0f) * size * (1.0f + static_cast<float>(u >> 40 & 0xff) / 256.0f));
    }
  }
  return x;
}

template <class Exec, class Comm> class check {
 public:
  check(Exec const& ex, Comm& comm, communicator_options const& options)
      : ex_(ex), comm_(comm), options_(options), rank_(comm.rank()), ranks_(comm.size()) {}

  std::vector<std::string> run() {
    for (std::size_t const bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{1000}, std::size_t{70001}}) {
      if constexpr (can_all_gather<Comm, Exec>) all_gather(bytes);
      if constexpr (can_all_to_all<Comm, Exec>) all_to_all(bytes);
      if constexpr (can_broadcast<Comm, Exec>)
        for (int root = 0; root < ranks_; ++root) broadcast(bytes, root);
      if constexpr (can_exchange<Comm, Exec>)
        for (int shift = 0; shift < ranks_ + (ranks_ == 1); ++shift) exchange(bytes, shift);
      if constexpr (can_transfer<Comm, Exec>) {
        to_root(bytes, ranks_ / 2);
        to_all(bytes);
        if (ranks_ > 1) between(bytes, ranks_ - 1, 0);
      }
    }
    if constexpr (can_all_reduce<Comm, Exec>)
      for (std::size_t const n :
           {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{1000}, std::size_t{20011}}) {
        all_reduce<float>(wire_type::float32, wire_op::sum, n);
        all_reduce<float16>(wire_type::float16, wire_op::sum, n);
        all_reduce<bfloat16>(wire_type::bfloat16, wire_op::sum, n);
        all_reduce<std::int8_t>(wire_type::int8, wire_op::sum, n);
        all_reduce<std::int16_t>(wire_type::int16, wire_op::sum, n);
        all_reduce<std::int32_t>(wire_type::int32, wire_op::sum, n);
        all_reduce<std::int8_t>(wire_type::int8, wire_op::max, n);
        all_reduce<std::int16_t>(wire_type::int16, wire_op::max, n);
        all_reduce<std::int32_t>(wire_type::int32, wire_op::max, n);
        all_reduce<std::uint32_t>(wire_type::uint32, wire_op::sum, n);
        all_reduce<std::uint32_t>(wire_type::uint32, wire_op::max, n);
      }
    if constexpr (can_agree<Comm>) agree();
    return faults_;
  }

 private:
  using bytes_t = std::vector<std::byte>;

  /// Runs one call, and says if it was late or threw.
  template <class F> bool in_time(std::string const& what, F const& f) {
    if (!faults_.empty()) return false;  // what follows would only repeat it
    watch clock("rank " + std::to_string(rank_) + ": " + what, options_);
    try {
      f();
    } catch (std::exception const& e) {
      clock.end();
      return fault(what + " threw " + e.what());
    }
    if (!clock.end()) return fault(what + " returned too late");
    return true;
  }
  bool fault(std::string const& what) {
    faults_.push_back("rank " + std::to_string(rank_) + " of " + std::to_string(ranks_) + ": " + what);
    return false;
  }
  void expect(std::string const& what, buffer<Exec> const& b, bytes_t const& want, char const* which) {
    bool whole = true;
    auto const got = b.bytes(whole);
    if (!whole) fault(what + " writes beyond " + which);
    for (std::size_t i = 0; i < want.size(); ++i)
      if (got[i] != want[i]) {
        fault(what + ": byte " + std::to_string(i) + " of " + std::to_string(want.size()) + " of " + which +
              " is wrong");
        return;
      }
  }
  /// `call` sends `mine` and receives what `want` says. The sender may use its buffer again once the call is back.
  template <class Call>
  void transfer(std::string const& what, bytes_t const& mine, bytes_t const& want, Call const& call) {
    buffer<Exec> send(ex_, mine), receive(ex_, bytes_t(want.size(), std::byte{0x5a}));
    if (!in_time(what, [&] { call(std::span<std::byte const>(send.span()), receive.span()); })) return;
    expect(what, send, mine, "what is sent");
    send.overwrite(std::byte{0});
    expect(what, receive, want, "what is received");
  }

  void all_gather(std::size_t bytes) {
    bytes_t want;
    for (int r = 0; r < ranks_; ++r) append(want, message(r, 0, bytes, 1));
    transfer("all_gather of " + std::to_string(bytes) + " bytes", message(rank_, 0, bytes, 1), want,
             [&](auto send, auto receive) { comm_.all_gather(ex_, send, receive); });
  }
  void all_to_all(std::size_t bytes) {
    bytes_t mine, want;
    for (int r = 0; r < ranks_; ++r) append(mine, message(rank_, r, bytes, 2));
    for (int r = 0; r < ranks_; ++r) append(want, message(r, rank_, bytes, 2));
    transfer("all_to_all of slots of " + std::to_string(bytes) + " bytes", mine, want,
             [&](auto send, auto receive) { comm_.all_to_all(ex_, send, receive); });
  }
  void broadcast(std::size_t bytes, int root) {
    auto const what = "broadcast of " + std::to_string(bytes) + " bytes from rank " + std::to_string(root);
    buffer<Exec> data(ex_, message(rank_, 0, bytes, 3));
    if (in_time(what, [&] { comm_.broadcast(ex_, data.span(), root); }))
      expect(what, data, message(root, 0, bytes, 3), "the data");
  }
  /// To the rank `shift` places on; sizes differ from rank to rank.
  void exchange(std::size_t bytes, int shift) {
    int const to = (rank_ + shift) % ranks_, from = (rank_ + ranks_ - shift) % ranks_;
    auto const size = [&](int r) { return bytes + static_cast<std::size_t>(r); };
    transfer("exchange with the rank " + std::to_string(shift) + " places on", message(rank_, to, size(rank_), 4),
             message(from, rank_, size(from), 4),
             [&](auto send, auto receive) { comm_.exchange(ex_, send, to, receive, from); });
  }

  /// Every rank has a message of its own size for the root.
  void to_root(std::size_t bytes, int root) {
    auto const size = [&](int r) { return bytes + static_cast<std::size_t>(r); };
    bytes_t mine, want;
    if (rank_ != root) mine = message(rank_, root, size(rank_), 5);
    for (int r = 0; rank_ == root && r < ranks_; ++r)
      if (r != root) append(want, message(r, root, size(r), 5));
    transfer("transfer to rank " + std::to_string(root), mine, want, [&](auto send, auto receive) {
      std::vector<outgoing_message> out;
      std::vector<incoming_message> in;
      if (rank_ != root) out.push_back({root, send});
      std::size_t at = 0;
      for (int r = 0; rank_ == root && r < ranks_; at += r == root ? 0 : size(r), ++r)
        if (r != root) in.push_back({r, {receive.data() + at, size(r)}});
      comm_.transfer(ex_, out, in);
    });
  }
  /// Every rank sends a part of its buffer to each other rank.
  void to_all(std::size_t bytes) {
    bytes_t mine, want;
    for (int r = 0; r < ranks_; ++r)
      if (r != rank_) append(mine, message(rank_, r, bytes, 6));
    for (int r = 0; r < ranks_; ++r)
      if (r != rank_) append(want, message(r, rank_, bytes, 6));
    transfer("transfer between all ranks", mine, want, [&](auto send, auto receive) {
      std::vector<outgoing_message> out;
      std::vector<incoming_message> in;
      std::size_t at = 0;
      for (int r = 0; r < ranks_; ++r) {
        if (r == rank_) continue;
        out.push_back({r, {send.data() + at, bytes}});
        in.push_back({r, {receive.data() + at, bytes}});
        at += bytes;
      }
      comm_.transfer(ex_, out, in);
    });
  }
  /// Two messages, one after the other, while the other ranks go on.
  void between(std::size_t bytes, int from, int to) {
    if (rank_ != from && rank_ != to) return;
    auto const what = "transfer from rank " + std::to_string(from) + " to rank " + std::to_string(to);
    for (std::uint64_t const round : {7u, 8u}) {
      auto const bytes_sent = message(from, to, bytes, round);
      bool const sends = rank_ == from;
      transfer(what, sends ? bytes_sent : bytes_t{}, sends ? bytes_t{} : bytes_sent, [&](auto send, auto receive) {
        outgoing_message const out{to, send};
        incoming_message const in{from, receive};
        comm_.transfer(ex_, {&out, sends ? 1u : 0u}, {&in, sends ? 0u : 1u});
      });
    }
  }

  template <class T> void all_reduce(wire_type type, wire_op op, std::size_t n) {
    constexpr bool floats = !std::is_integral_v<T>;
    auto const what = std::string("all_reduce (") + (op == wire_op::sum ? "sum" : "max") + ") of " + std::to_string(n) +
                      ' ' + (floats ? "floats" : "integers") + " of " + std::to_string(sizeof(T)) + " bytes";
    std::vector<std::conditional_t<floats, float, std::int64_t>> sum(n);
    std::vector<double> exact(n), size(n);
    for (int r = 0; r < ranks_; ++r) {
      auto const x = numbers<T>(r, n);
      for (std::size_t i = 0; i < n; ++i) {
        if constexpr (floats) {
          auto const v = static_cast<float>(x[i]);
          sum[i] = r == 0 ? v : sum[i] + v;
          exact[i] += static_cast<double>(v);
          size[i] += std::abs(static_cast<double>(v));
        } else {
          auto const v = static_cast<std::int64_t>(x[i]);
          sum[i] = r == 0 ? v : op == wire_op::sum ? sum[i] + v : std::max(sum[i], v);
        }
      }
    }
    auto const mine = numbers<T>(rank_, n);
    bytes_t raw(n * sizeof(T)), want(n * sizeof(T));
    if (n > 0) std::memcpy(raw.data(), mine.data(), raw.size());
    buffer<Exec> data(ex_, raw);
    bool refused = false;
    bool const back = in_time(what, [&] {
      try {
        comm_.all_reduce(ex_, data.span().data(), n, type, op);
      } catch (invalid_argument const&) {
        if (type != wire_type::int16) throw;
        refused = true;  // the one type that a transport need not have
      }
    });
    if (!back || refused) return;
    for (std::size_t i = 0; i < n; ++i) {
      T const rounded = static_cast<T>(sum[i]);
      std::memcpy(want.data() + i * sizeof(T), &rounded, sizeof(T));
    }
    if (!floats || options_.rank_order) return expect(what, data, want, "the sums (in rank order)");
    bool whole = true;
    auto const got = data.bytes(whole);
    if (!whole) fault(what + " writes beyond the data");
    for (std::size_t i = 0; i < n;
         ++i) {  // any order: each of W additions rounds by half a last place of the sizes' sum
      T v;
      std::memcpy(&v, got.data() + i * sizeof(T), sizeof(T));
      double const place = sizeof(T) == 4 ? 0x1p-23 : std::is_same_v<T, float16> ? 0x1p-10 : 0x1p-7;
      if constexpr (floats)
        if (std::abs(static_cast<double>(static_cast<float>(v)) - exact[i]) > ranks_ * place * size[i] + 1e-30) {
          fault(what + ": sum " + std::to_string(i) + " is wrong");
          return;
        }
    }
  }

  void agree() {
    auto const describe = [](void const*) -> std::string { return "a call"; };
    if (!in_time("agree on one number", [&] { comm_.agree(7, nullptr, describe); }) || ranks_ == 1) return;
    bool refused = false;
    bool const back = in_time("agree on different numbers", [&] {
      try {
        comm_.agree(static_cast<std::uint64_t>(rank_ == ranks_ - 1), nullptr, describe);
      } catch (rank_mismatch const&) {
        refused = true;
      }
    });
    if (back && !refused) fault("agree: the last rank brings another number, and this rank is not told");
  }

  Exec const& ex_;
  Comm& comm_;
  communicator_options const& options_;
  int rank_, ranks_;
  std::vector<std::string> faults_;
};

}  // namespace detail

/// Tests every primitive that the communicator has with this exec. All ranks call it at the same time. Returns the
/// faults that this rank found, one sentence each; an empty list if there are none.
///
///   ccomp::thread_group(4).run([](auto& comm) {
///     for (auto const& fault : ccomp::testing::check_communicator(ccomp::host_exec{}, comm)) report(fault);
///   });
///
/// Finds: swapped slots, bytes that are lost or written beyond a buffer, sums in another order than that of the ranks,
/// a send buffer that is changed or still read after the call, ranks that get no exception when they disagree, and
/// calls that do not return.
template <class Exec, communicator Comm>
std::vector<std::string> check_communicator(Exec const& ex, Comm& comm, communicator_options const& options = {}) {
  return detail::check<Exec, Comm>(ex, comm, options).run();
}

}  // namespace testing
CCOMP_END
