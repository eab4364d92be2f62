// exchange: every rank sends to one and receives from one, at the same time. What does not fit is an error on every
// rank, and no rank waits.
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/testing/check_communicator.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using ccomp::communicator_ref;
using ccomp::host_exec;
using ccomp::self_communicator;
using ccomp::thread_communicator;
using ccomp::thread_group;
using support::has;

static_assert(ccomp::can_exchange<self_communicator, host_exec>);
static_assert(ccomp::can_exchange<thread_communicator, host_exec>);
static_assert(ccomp::can_exchange<communicator_ref, host_exec>);

namespace {

std::size_t index(int r) { return static_cast<std::size_t>(r); }
std::vector<std::byte> bytes(std::size_t n, int who) {
  support::generator g(index(who) + 7);
  std::vector<std::byte> b(n);
  for (auto& x : b) x = static_cast<std::byte>(g.next());
  return b;
}

/// What each rank was told; empty: nothing.
template <class Error, class F> std::vector<std::string> told(int ranks, F const& f) {
  std::vector<std::string> said(index(ranks));
  thread_group(ranks, std::chrono::seconds(20)).run([&](thread_communicator& comm) {
    try {
      f(comm);
    } catch (Error const& e) {
      said[index(comm.rank())] = e.what();
    }
  });
  return said;
}

}  // namespace

TEST_CASE("exchange: around a ring, in pairs, and with oneself") {
  support::watchdog const guard("exchange");
  for (int const ranks : {1, 2, 4, 5})
    for (std::size_t const n : {0u, 1u, 4097u}) {
      CAPTURE(ranks);
      CAPTURE(n);
      std::vector<int> good(index(ranks));
      thread_group(ranks).run([&](thread_communicator& comm) {
        int const r = comm.rank(), pair = (r ^ 1) < ranks ? r ^ 1 : r;
        auto const swap = [&](int to, int from) {
          std::vector<std::byte> in(n + index(from));
          comm.exchange(host_exec{1}, bytes(n + index(r), r), to, in, from);
          return in == bytes(n + index(from), from);
        };
        good[index(r)] = swap((r + 1) % ranks, (r + ranks - 1) % ranks) && swap(pair, pair) && swap(r, r);
      });
      CHECK(good == std::vector<int>(index(ranks), 1));
    }
}

TEST_CASE("exchange: a group of one sends to itself") {
  self_communicator comm;
  auto const mine = bytes(300, 0);
  std::vector<std::byte> in(300);
  comm.exchange(host_exec{1}, mine, 0, in, 0);
  CHECK(in == mine);
}

TEST_CASE("exchange: communicators whose type is forgotten pass check_communicator") {
  support::watchdog const guard("check communicator_ref");
  self_communicator alone;
  communicator_ref self(alone);
  CHECK(ccomp::testing::check_communicator(host_exec{1}, self).empty());
  for (int const ranks : {1, 3})
    thread_group(ranks).run([](thread_communicator& thread) {
      communicator_ref comm(thread);
      for (auto const& fault : ccomp::testing::check_communicator(host_exec{1}, comm)) FAIL_CHECK(fault);
    });
}

TEST_CASE("exchange: a communicator without it says so when its type is forgotten") {
  struct lonely {
    int rank() const { return 0; }
    int size() const { return 1; }
  } comm;
  static_assert(!ccomp::can_exchange<lonely, host_exec>);
  communicator_ref ref(comm);
  CHECK_THROWS_WITH_AS(ref.exchange(host_exec{1}, {}, 0, {}, 0),
                       doctest::Contains("the communicator has no exchange for host memory"), ccomp::invalid_argument);
}

TEST_CASE("exchange: sizes and partners that do not fit are a rank_mismatch, and the group stays usable") {
  support::watchdog const guard("exchange: mismatch");
  using ccomp::rank_mismatch;
  auto const of_sizes = told<rank_mismatch>(3, [](thread_communicator& comm) {
    int const r = comm.rank();
    std::vector<std::byte> const out(r == 1 ? 30 : 60);
    std::vector<std::byte> in(60);
    std::string trouble;
    try {
      comm.exchange(host_exec{1}, out, (r + 1) % 3, in, (r + 2) % 3);
    } catch (rank_mismatch const& e) {
      trouble = e.what();
    }
    CHECK(in == std::vector<std::byte>(60));  // nothing was read from a buffer that is too short
    comm.exchange(host_exec{1}, std::span(in).first(8), (r + 1) % 3, std::span(in).last(8), (r + 2) % 3);
    ccomp::detail::fail<rank_mismatch>(trouble);
  });
  for (auto const& text : of_sizes) has(text, "rank 1 sends 30 bytes to rank 2, which expects 60");

  auto const partners = told<rank_mismatch>(3, [](thread_communicator& comm) {
    std::vector<std::byte> const out(16);
    std::vector<std::byte> in(16);
    comm.exchange(host_exec{1}, out, 0, in, 0);  // all send to rank 0, which receives from itself only
  });
  for (auto const& text : partners) has(text, "rank 1 sends to rank 0, which receives from rank 0");

  auto const calls = told<rank_mismatch>(2, [](thread_communicator& comm) {
    std::vector<std::byte> out(16), in(32);
    if (comm.rank() == 0)
      comm.exchange(host_exec{1}, out, 1, std::span(in).first(16), 1);
    else
      comm.all_gather(host_exec{1}, out, in);
  });
  for (auto const& text : calls) has(text, "rank 0 exchanges, rank 1 does not");
}

TEST_CASE("exchange: a partner outside of the group is refused, and one that leaves is reported") {
  support::watchdog const guard("exchange: partners");
  thread_group group(1);
  thread_communicator comm(group, 0);
  std::vector<std::byte> x(8), y(8);
  CHECK_THROWS_WITH_AS(comm.exchange(host_exec{1}, x, 1, y, 0),
                       doctest::Contains("the receiver is rank 1 of a group of 1"), ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.exchange(host_exec{1}, x, 0, y, -1),
                       doctest::Contains("the sender is rank -1 of a group of 1"), ccomp::invalid_argument);

  auto const left = told<ccomp::communicator_error>(3, [](thread_communicator& c) {
    std::vector<std::byte> const out(8);
    std::vector<std::byte> in(8);
    int const r = c.rank();
    if (r != 2) c.exchange(host_exec{1}, out, (r + 1) % 3, in, (r + 2) % 3);
  });
  has(left[0], "rank 2 has left the group");
  has(left[1], "rank 2 has left the group");
}
