#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/testing/check_communicator.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using ccomp::communicator_error;
using ccomp::host_exec;
using ccomp::self_communicator;
using ccomp::thread_communicator;
using ccomp::thread_group;
using ccomp::wire_op;
using ccomp::wire_type;
namespace testing = ccomp::testing;
using ccomp::testing::check_communicator;

namespace {

/// A thread_communicator with one fault, which each derived one plants.
struct sound {
  explicit sound(thread_communicator& comm) : inner(comm) {}
  int rank() const { return inner.rank(); }
  int size() const { return inner.size(); }
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner.all_gather(ex, send, receive);
  }
  void all_to_all(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner.all_to_all(ex, send, receive);
  }
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    inner.all_reduce(ex, data, n, type, op);
  }
  void broadcast(host_exec const& ex, std::span<std::byte> data, int root) { inner.broadcast(ex, data, root); }
  void exchange(host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    inner.exchange(ex, send, to, receive, from);
  }
  void agree(std::uint64_t fingerprint, void const* what, std::string (*describe)(void const*)) {
    inner.agree(fingerprint, what, describe);
  }
  thread_communicator& inner;
};

struct swaps_slots : sound {
  using sound::sound;
  void all_to_all(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    sound::all_to_all(ex, send, receive);
    std::size_t const slot = receive.size() / static_cast<std::size_t>(size());
    if (rank() == 1)
      std::swap_ranges(receive.begin(), receive.begin() + static_cast<std::ptrdiff_t>(slot),
                       receive.begin() + static_cast<std::ptrdiff_t>(slot));
  }
};
struct loses_last_byte : sound {
  using sound::sound;
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    sound::all_gather(ex, send, receive);
    if (!receive.empty()) receive.back() = std::byte{0x5a};
  }
};
struct writes_beyond : sound {
  using sound::sound;
  void broadcast(host_exec const& ex, std::span<std::byte> data, int root) {
    sound::broadcast(ex, data, root);
    data.data()[data.size()] = std::byte{1};
  }
};
/// From the last rank to the first.
struct adds_backwards : sound {
  using sound::sound;
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    if (type != wire_type::float32) return sound::all_reduce(ex, data, n, type, op);
    std::vector<float> all(n * static_cast<std::size_t>(size()));
    sound::all_gather(ex, {static_cast<std::byte const*>(data), n * sizeof(float)},
                      std::as_writable_bytes(std::span(all)));
    auto* const sum = static_cast<float*>(data);
    for (std::size_t i = 0; i < n; ++i) {
      sum[i] = all[(static_cast<std::size_t>(size()) - 1) * n + i];
      for (std::size_t r = static_cast<std::size_t>(size()) - 1; r-- > 0;) sum[i] += all[r * n + i];
    }
  }
};
/// Leaves out the types that few compressors need.
struct skips_small_integers : sound {
  using sound::sound;
  void all_reduce(host_exec const& ex, void* data, std::size_t n, wire_type type, wire_op op) {
    if (type != wire_type::int16 && (op != wire_op::max || type == wire_type::uint32))
      sound::all_reduce(ex, data, n, type, op);
  }
};
/// What is sent and what is received lie in the same memory for a while.
struct aliases : sound {
  using sound::sound;
  void exchange(host_exec const& ex, std::span<std::byte const> send, int to, std::span<std::byte> receive, int from) {
    sound::exchange(ex, send, to, receive, from);
    auto* const same = const_cast<std::byte*>(send.data());
    std::memcpy(same, receive.data(), std::min(send.size(), receive.size()));
  }
};
struct tells_nobody : sound {
  using sound::sound;
  void agree(std::uint64_t, void const*, std::string (*)(void const*)) {}
};
/// Rank 1 stays where it is until it is freed.
struct never_returns : sound {
  using sound::sound;
  void broadcast(host_exec const& ex, std::span<std::byte> data, int root) {
    sound::broadcast(ex, data, root);
    while (rank() == 1 && !freed) std::this_thread::yield();
  }
  static inline std::atomic<bool> freed{false};
};

template <class Comm> std::set<std::string> faults_of(int ranks, testing::communicator_options const& options = {}) {
  std::set<std::string> all;
  std::mutex mutex;
  try {
    thread_group(ranks, std::chrono::seconds(20) + options.patience).run([&](thread_communicator& thread) {
      Comm comm(thread);
      auto const faults = check_communicator(host_exec{1}, comm, options);
      std::lock_guard const lock(mutex);
      all.insert(faults.begin(), faults.end());
      // A rank that stops leaves: the others' calls then fail, which is no fault of theirs.
    });
  } catch (communicator_error const&) {
  }
  return all;
}
bool says(std::set<std::string> const& faults, std::string const& what) {
  return std::ranges::any_of(faults, [&](std::string const& f) { return f.find(what) != f.npos; });
}

}  // namespace

TEST_CASE("check_communicator: ours keep what collectives rely on") {
  for (int const ranks : {1, 2, 3, 4, 7, 8}) CHECK(faults_of<sound>(ranks).empty());
  self_communicator alone;
  CHECK(check_communicator(host_exec{1}, alone).empty());
}

TEST_CASE("check_communicator: as authors of communicators call it") {
  // [suite]
  std::mutex mutex;
  std::vector<std::string> all;
  ccomp::thread_group(4).run([&](ccomp::thread_communicator& comm) {
    auto const faults = ccomp::testing::check_communicator(ccomp::host_exec{}, comm);
    std::lock_guard const lock(mutex);
    all.insert(all.end(), faults.begin(), faults.end());
  });
  CHECK(all.empty());
  // [/suite]
}

TEST_CASE("check_communicator: finds what is planted") {
  for (int const ranks : {2, 3}) {
    CHECK(says(faults_of<swaps_slots>(ranks), "rank 1 of " + std::to_string(ranks) + ": all_to_all of slots"));
    CHECK(says(faults_of<loses_last_byte>(ranks), "all_gather of 1 bytes: byte"));
    CHECK(says(faults_of<writes_beyond>(ranks), "writes beyond the data"));
    CHECK(says(faults_of<aliases>(ranks), "of what is sent is wrong"));
    CHECK(says(faults_of<tells_nobody>(ranks), "this rank is not told"));
    CHECK(says(faults_of<skips_small_integers>(ranks), "all_reduce (sum) of 1 integers of 2 bytes"));
  }
  CHECK(says(faults_of<adds_backwards>(3), "(in rank order) is wrong"));
  CHECK(faults_of<adds_backwards>(3, {.rank_order = false}).empty());
}

TEST_CASE("check_communicator: finds a rank that does not return") {
  // A loaded machine may stop another call for as long as that. It is waited for longer then.
  int told = 0;
  for (int seconds : {2, 10, 60}) {
    never_returns::freed = false;
    std::set<std::string> hangs;
    std::mutex mutex;
    testing::communicator_options options;
    options.patience = std::chrono::seconds(seconds);
    options.on_hang = [&](std::string const& what) {
      std::lock_guard const lock(mutex);
      hangs.insert(what);
      never_returns::freed = true;
    };
    auto const faults = faults_of<never_returns>(2, options);
    if (!hangs.contains("rank 1: broadcast of 0 bytes from rank 0 has not returned")) continue;
    CHECK(says(faults, "rank 1 of 2: broadcast of 0 bytes from rank 0 returned too late"));
    ++told;
    break;
  }
  CHECK(told == 1);
}
