#include "world.hpp"

#include <ccomp/testing/check_communicator.hpp>

#include <doctest/doctest.h>

#include <array>
#include <numeric>

using ccomp::host_exec;
using ccomp::mpi_communicator;
using namespace std::chrono_literals;

namespace {

using bytes = std::vector<std::byte>;

/// n bytes that tell who sends them to whom.
bytes message(int from, int to, std::size_t n) {
  bytes m(n);
  for (std::size_t i = 0; i < n; ++i)
    m[i] = static_cast<std::byte>(31 * static_cast<std::size_t>(from) + 7 * static_cast<std::size_t>(to) + i);
  return m;
}

template <class Comm> std::vector<int> members(Comm& comm, int mine) {
  std::vector<int> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(host_exec{}, std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

}  // namespace

TEST_CASE("mpi_communicator does what collectives rely on") {
  for (auto const& fault : ccomp::testing::check_communicator(host_exec{}, *world())) CHECK_MESSAGE(false, fault);
  CHECK(world()->rank() < world()->size());
}

TEST_CASE("messages longer than one of MPI go in parts") {
  mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s, .most_bytes = 4096});
  for (auto const& fault : ccomp::testing::check_communicator(host_exec{}, comm)) CHECK_MESSAGE(false, fault);
  int const ranks = comm.size(), me = comm.rank(), next = (me + 1) % ranks, before = (me + ranks - 1) % ranks;
  for (std::size_t const n : {4095u, 4096u, 4097u, 8192u, 100000u}) {
    CAPTURE(n);
    bytes in(n);
    comm.exchange({}, message(me, next, n), next, in, before);
    CHECK(in == message(before, me, n));
    bytes all(n * static_cast<std::size_t>(ranks)), want;
    comm.all_gather({}, message(me, 0, n), all);
    for (int r = 0; r < ranks; ++r)
      for (auto const b : message(r, 0, n)) want.push_back(b);
    CHECK(all == want);
    std::vector<float> x(n, static_cast<float>(me + 1));
    comm.all_reduce({}, x.data(), n, ccomp::wire_type::float32, ccomp::wire_op::sum);
    CHECK(x == std::vector<float>(n, static_cast<float>(ranks * (ranks + 1) / 2)));
    for (int root = 0; root < ranks; ++root) {
      bytes data = me == root ? message(root, 0, 5 * n) : bytes(5 * n);
      comm.broadcast({}, data, root);
      CHECK(data == message(root, 0, 5 * n));
    }
  }
}

TEST_CASE("sums of 16-bit floats are rounded once, in rank order") {
  auto& comm = *world();
  for (std::size_t const n : {3u, 100000u}) {
    std::vector<ccomp::bfloat16> x(n, ccomp::bfloat16(comm.rank() == 0 ? 256.0f : 0.75f));
    comm.all_reduce({}, x.data(), n, ccomp::wire_type::bfloat16, ccomp::wire_op::sum);
    float const exact = 256.0f + 0.75f * static_cast<float>(comm.size() - 1);
    CHECK(static_cast<float>(x.back()) ==
          static_cast<float>(ccomp::bfloat16(exact)));  // bfloat16 sums would stay at 256
  }
}

TEST_CASE("send and receive") {
  auto& comm = *world();
  if (comm.size() < 2) return;
  int const last = comm.size() - 1;
  for (std::size_t const n : {0u, 1u, 70000u, 3000000u}) {
    bytes got(n);
    if (comm.rank() == 0) comm.send({}, message(0, last, n), last);
    if (comm.rank() == last) {
      comm.receive({}, got, 0);
      CHECK(got == message(0, last, n));
      comm.send({}, got, 0);
    }
    if (comm.rank() == 0) {
      comm.receive({}, got, last);
      CHECK(got == message(0, last, n));
    }
  }
}

TEST_CASE("exchange by two ranks alone") {
  auto& comm = *world();
  if (comm.size() < 3 || comm.rank() > 1) return;
  int const other = 1 - comm.rank();
  bytes in(1000);
  comm.exchange({}, message(comm.rank(), other, 1000), other, in, other);
  CHECK(in == message(other, comm.rank(), 1000));
}

TEST_CASE("split") {
  auto& comm = *world();
  int const me = comm.rank(), ranks = comm.size();
  SUBCASE("even and odd ranks, in the other order") {
    auto part = comm.split(me % 2, -me);
    REQUIRE(part);
    std::vector<int> want;
    for (int r = ranks - 1; r >= 0; --r)
      if (r % 2 == me % 2) want.push_back(r);
    CHECK(members(*part, me) == want);
    CHECK(want[static_cast<std::size_t>(part->rank())] == me);
    for (auto const& fault : ccomp::testing::check_communicator(host_exec{}, *part)) CHECK_MESSAGE(false, fault);
    auto const whole = std::move(part);  // a communicator may move
    CHECK(whole->size() == static_cast<int>(want.size()));
  }
  SUBCASE("a rank that stays out") {
    auto part = comm.split(me == 0 ? MPI_UNDEFINED : 5, 0);
    CHECK(part.has_value() == (me != 0));
    if (part) CHECK(part->size() == ranks - 1);
  }
  SUBCASE("one rank alone") {
    auto part = comm.split(me, 0);
    REQUIRE(part);
    CHECK(members(*part, me) == std::vector{me});
  }
}

TEST_CASE("wrong arguments are refused before anything is sent") {
  auto& comm = *world();
  auto const ranks = static_cast<std::size_t>(comm.size());
  bytes some(10 * ranks), more(10 * ranks + 1);
  CHECK_THROWS_WITH_AS(comm.all_gather({}, some, more), doctest::Contains("all_gather: receive has"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.all_to_all({}, some, more), doctest::Contains("all_to_all: receive has"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.broadcast({}, some, comm.size()), doctest::Contains("the root is rank"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.exchange({}, some, -1, some, 0), doctest::Contains("the receiver is rank -1"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.send({}, some, comm.rank()), doctest::Contains("this rank itself"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.receive({}, some, comm.size()), doctest::Contains("the sender is rank"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(static_cast<void>(comm.split(-3, 0)), doctest::Contains("a colour is 0 or more"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(comm.all_reduce({}, some.data(), 1, ccomp::wire_type::float32, ccomp::wire_op::max),
                       doctest::Contains("maximum"), ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(mpi_communicator(MPI_COMM_NULL), doctest::Contains("MPI_COMM_NULL"), ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(mpi_communicator(MPI_COMM_WORLD, {.most_bytes = 100}), doctest::Contains("4096"),
                       ccomp::invalid_argument);
  CHECK_THROWS_WITH_AS(ccomp::mpi_environment{}, doctest::Contains("has been initialised before"),
                       ccomp::invalid_argument);
  if (comm.size() > 1) {
    CHECK_THROWS_WITH_AS(comm.exchange({}, some, comm.rank(), some, (comm.rank() + 1) % comm.size()),
                         doctest::Contains("receives from itself"), ccomp::invalid_argument);
    std::size_t const most = comm.rank() == 0 ? 4096 : 8192;
    CHECK_THROWS_WITH_AS(mpi_communicator(MPI_COMM_WORLD, {.deadline = 20s, .most_bytes = most}),
                         doctest::Contains("most_bytes is 4096 on rank 0"), ccomp::rank_mismatch);
  }
  mpi_communicator moved(MPI_COMM_WORLD, {.deadline = 20s});
  mpi_communicator const to = std::move(moved);
  CHECK_THROWS_WITH_AS(moved.all_gather({}, some, some),
                       doctest::Contains("moved away"),  // NOLINT(bugprone-use-after-move)
                       ccomp::invalid_argument);
  CHECK(members(comm, comm.rank()).size() == ranks);  // still works
}

TEST_CASE("the thread level is checked") {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  if (level != MPI_THREAD_FUNNELED) return;  // MPI may give more than was asked for
  std::string what;
  std::thread([&] {
    try {
      members(*world(), 0);
    } catch (ccomp::invalid_argument const& e) {
      what = e.what();
    }
  }).join();
  CHECK(what.find("MPI_THREAD_FUNNELED only the thread that initialised MPI") != std::string::npos);
}

TEST_CASE("ranks share the cores of their machine") {
  using ccomp::detail::mpi_place;
  mpi_place first, second, far;
  first.machine = second.machine = 1;
  far.machine = 2;
  first.cores[0] = far.cores[0] = 0xff;
  second.cores[0] = 0xf0;
  second.cores[1] = 3;
  std::array const all{first, second, far};
  CHECK(ccomp::detail::cores_of(first, all) == 6);   // 4 alone, 4 shared by two
  CHECK(ccomp::detail::cores_of(second, all) == 4);  // 2 alone, 4 shared by two
  CHECK(ccomp::detail::cores_of(far, all) == 8);
  std::vector<mpi_place> const crowd(20, far);
  CHECK(ccomp::detail::cores_of(far, crowd) == 1);
  CHECK(ccomp::detail::cores_of({}, crowd) == 0);

  int const before = ccomp::detail::cores_of_process().exchange(1);
  CHECK(ccomp::detail::resolve_threads({}) == 1);
  CHECK(ccomp::detail::resolve_threads({3}) == 3);
  ccomp::detail::cores_of_process() = before;
}
