#include <support/codec.hpp>
#include <support/ranks.hpp>

#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <numeric>

using ccomp::host_exec;
using ccomp::thread_communicator;
using ccomp::thread_group;
using ccomp::wire_op;
using ccomp::wire_type;

namespace {

/// Sums (or maxima) of integers of every rank against 64-bit arithmetic.
template <class T> void check_integers(wire_type type, int ranks, std::size_t n, host_exec ex) {
  for (auto const op : {wire_op::sum, wire_op::max}) {
    auto const w = static_cast<std::size_t>(ranks);
    support::per_rank<T> x(w, std::vector<T>(n));
    std::vector<T> want(n);
    for (std::size_t r = 0; r < w; ++r) {
      support::generator g(r + 1);
      for (std::size_t i = 0; i < n; ++i) {
        x[r][i] = static_cast<T>(g.next());
        if (op == wire_op::sum)
          want[i] = static_cast<T>(static_cast<std::uint64_t>(want[i]) + static_cast<std::uint64_t>(x[r][i]));
        else
          want[i] = r == 0 ? x[r][i] : std::max(want[i], x[r][i]);
      }
    }
    thread_group group(ranks);
    group.run([&](thread_communicator& comm) {
      comm.all_reduce(ex, x[static_cast<std::size_t>(comm.rank())].data(), n, type, op);
    });
    CHECK(support::all_same(x));
    CHECK(support::same_bits(x[0], want));
  }
}
/// Sums of floats: float accumulation in rank order, rounded once.
template <class T> void check_floats(wire_type type, int ranks, std::size_t n, host_exec ex) {
  auto x = support::gradients<T>(ranks, n);
  std::vector<T> want(n);
  for (std::size_t i = 0; i < n; ++i) {
    auto sum = static_cast<float>(x[0][i]);
    for (std::size_t r = 1; r < x.size(); ++r) sum += static_cast<float>(x[r][i]);
    want[i] = T(sum);
  }
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    comm.all_reduce(ex, x[static_cast<std::size_t>(comm.rank())].data(), n, type, wire_op::sum);
  });
  CHECK(support::all_same(x));
  CHECK(support::same_bits(x[0], want));
}

}  // namespace

TEST_CASE("all_reduce of every wire type, in place, for any number of threads") {
  support::watchdog const guard("all_reduce");
  for (int const ranks : {1, 2, 3, 8})
    for (std::size_t const n : {0u, 1u, 5u, 4096u, 10007u})
      for (auto const& ex : support::host_execs()) {
        if (ex.threads == 7 && ranks == 8) continue;  // 56 threads prove no more
        CAPTURE(ranks);
        CAPTURE(n);
        check_integers<std::int8_t>(wire_type::int8, ranks, n, ex);
        check_integers<std::int16_t>(wire_type::int16, ranks, n, ex);
        check_integers<std::int32_t>(wire_type::int32, ranks, n, ex);
        check_integers<std::uint32_t>(wire_type::uint32, ranks, n, ex);
        check_floats<float>(wire_type::float32, ranks, n, ex);
        check_floats<ccomp::float16>(wire_type::float16, ranks, n, ex);
        check_floats<ccomp::bfloat16>(wire_type::bfloat16, ranks, n, ex);
      }
}
TEST_CASE("buffers of different sizes are a rank_mismatch on every rank, and nothing is read beyond them") {
  support::watchdog const guard("sizes");
  thread_group group(3);
  for (int which = 0; which < 4; ++which) {
    std::vector<int> caught(3);
    group.run([&](thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      std::vector<std::byte> mine(r == 1 ? 30 : 60), room(600);
      try {
        if (which == 0) comm.all_gather({1}, mine, room);
        if (which == 1) comm.all_to_all({1}, mine, room);
        if (which == 2) comm.broadcast({1}, mine, 1);
        if (which == 3) comm.all_reduce({1}, mine.data(), mine.size(), wire_type::int8, wire_op::sum);
      } catch (ccomp::rank_mismatch const& e) {
        caught[r] = std::string(e.what()).find("30") != std::string::npos &&
                    std::string(e.what()).find("60") != std::string::npos;
      }
      std::vector<std::byte> all(3 * 16);  // still usable
      comm.all_gather({1}, std::span(mine).first(16), all);
    });
    CHECK(caught == std::vector<int>{1, 1, 1});
  }
}
TEST_CASE("a maximum of floats is refused on every rank") {
  support::watchdog const guard("float maximum");
  thread_group group(2);
  std::vector<int> refused(2);
  CHECK_THROWS_AS(group.run([&](thread_communicator& comm) {
    float x[4] = {};
    comm.all_reduce({1}, x, 4, wire_type::float32, wire_op::max);
  }),
                  ccomp::invalid_argument);
}
TEST_CASE("a group of one is a self_communicator") {
  auto const in = support::gradients(1, 5000);
  auto const c = support::erase(ccomp::uniform_quantize<4>{.round = ccomp::rounding::stochastic});
  thread_group group(1);
  for (auto const h : {support::how::automatic, support::how::gather, support::how::two_shot}) {
    auto out = in[0];
    ccomp::self_communicator self;
    ccomp::workspace<host_exec> ws;
    auto const report = support::allreduce_by(h, {1}, self, c, out, ws, {.at = 3});
    CHECK(report.bytes_sent == 0);
    CHECK(support::same_bits(out, support::allreduce_all(group, h, c, in, {.at = 3}).out[0]));
  }
}
namespace {
std::atomic<int> ranks_seen = 0;
int see_rank(thread_communicator& comm) { return ranks_seen += comm.rank() + 1; }
}  // namespace
TEST_CASE("run takes any callable: a plain function too, and whatever it returns is dropped") {
  ranks_seen = 0;
  thread_group group(3);
  group.run(see_rank);
  CHECK(ranks_seen == 6);
}

TEST_CASE("ranks and groups that cannot be are refused") {
  CHECK_THROWS_AS(thread_group(0), ccomp::invalid_argument);
  CHECK_THROWS_AS(thread_group(-3), ccomp::invalid_argument);
  thread_group group(2);
  CHECK_THROWS_AS(thread_communicator(group, 2), ccomp::invalid_argument);
  CHECK_THROWS_AS(thread_communicator(group, -1), ccomp::invalid_argument);
  CHECK(ccomp::detail::ranks_in_process() == 1);
}
TEST_CASE("inside a group the default team is the cores divided by the ranks; afterwards it is as before") {
  int const outside = ccomp::detail::resolve_threads({});
  for (int const ranks : {1, 2, 64}) {
    thread_group group(ranks);
    std::vector<int> teams(static_cast<std::size_t>(ranks));
    group.run([&](thread_communicator& comm) {
      teams[static_cast<std::size_t>(comm.rank())] = ccomp::detail::resolve_threads({});
    });
    for (int const team : teams) CHECK(team == std::max(1, outside / ranks));
  }
  {
    thread_group group(2);
    thread_communicator const a(group, 0);
    CHECK(ccomp::detail::ranks_in_process() == 2);
  }
  CHECK(ccomp::detail::resolve_threads({}) == outside);
}
