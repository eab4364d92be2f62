#include <support/ranks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>

using namespace std::chrono_literals;
using ccomp::communicator_error;
using ccomp::thread_communicator;
using ccomp::thread_group;
using workspace = ccomp::workspace<ccomp::host_exec>;

namespace {

struct boom : std::runtime_error {
  boom() : std::runtime_error("boom") {}
};

/// An execution whose all_gather reads a byte of every rank, late on rank 0, and fails on rank 1.
struct reading_exec {
  std::atomic<int>* reading;
};

}  // namespace

template <> struct ccomp::detail::thread_transport<reading_exec> {
  static void all_gather(thread_communicator& comm, reading_exec const& ex, std::span<std::byte const> send,
                         std::span<std::byte> receive) {
    ++*ex.reading;
    comm.share(send, [&] {
      if (comm.rank() == 1) throw boom();
      std::this_thread::sleep_for(50ms);
      for (int r = 0; r < comm.size(); ++r)
        receive[static_cast<std::size_t>(r)] = *static_cast<std::byte const*>(comm.post(r).send);
      --*ex.reading;
    });
  }
};

namespace {

/// One of the collectives, with little work to do.
constexpr int collectives = 6;
void collective(int which, thread_communicator& comm, workspace& ws, std::size_t n = 700) {
  auto const w = static_cast<std::size_t>(comm.size());
  ccomp::uniform_quantize<8> const c{};
  std::vector<float> x(w * n, 1.0f), y(n), full(w * n);
  switch (which) {
    case 0:
      ccomp::allreduce({1}, comm, c, x, ws, {}, ccomp::gather{});
      break;
    case 1:
      ccomp::allreduce({1}, comm, c, x, ws, {}, ccomp::two_shot{});
      break;
    case 2:
      ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws, {}, ccomp::in_flight{});
      break;
    case 3:
      ccomp::allgather({1}, comm, c, y, full, ws);
      break;
    case 4:
      ccomp::reduce_scatter({1}, comm, c, x, y, ws);
      break;
    default:
      ccomp::broadcast({1}, comm, c, x, 0, ws);
  }
}

/// Runs f on every rank, counts the ranks that were stopped, and returns what run() rethrew.
struct aftermath {
  int stopped = 0, late = 0, finished = 0;
  std::string rethrown;
};
template <class F> aftermath run(thread_group& group, F const& f) {
  std::atomic<int> stopped = 0, late = 0, finished = 0;
  aftermath a;
  try {
    group.run([&](thread_communicator& comm) {
      try {
        f(comm);
        ++finished;
      } catch (ccomp::timeout const&) {
        ++late;
        throw;
      } catch (communicator_error const&) {
        ++stopped;
        throw;
      }
    });
  } catch (ccomp::timeout const&) {
    a.rethrown = "timeout";
  } catch (communicator_error const&) {
    a.rethrown = "communicator_error";
  } catch (ccomp::invalid_argument const&) {
    a.rethrown = "invalid_argument";
  } catch (boom const&) {
    a.rethrown = "boom";
  }
  a.stopped = stopped;
  a.late = late;
  a.finished = finished;
  return a;
}

void expect_usable(thread_group& group) {
  auto const a = run(group, [](thread_communicator& comm) {
    workspace ws;
    for (int i = 0; i < collectives; ++i) collective(i, comm, ws);
  });
  CHECK(a.finished == group.size());
  CHECK(a.rethrown.empty());
}

}  // namespace

TEST_CASE(
    "a rank that throws before, between or instead of collectives stops all others; the group can be used again") {
  support::watchdog const guard("a rank throws");
  for (int const ranks : {2, 3, 7}) {
    thread_group group(ranks);
    for (int const bad : {0, ranks - 1})
      for (int const before : {0, 1, 3})
        for (int which = 0; which < collectives; ++which) {
          CAPTURE(ranks);
          CAPTURE(bad);
          CAPTURE(before);
          CAPTURE(which);
          auto const a = run(group, [&](thread_communicator& comm) {
            workspace ws;
            for (int i = 0; i < before; ++i) collective((which + i) % collectives, comm, ws);
            if (comm.rank() == bad) throw boom();
            collective(which, comm, ws);
          });
          CHECK(a.rethrown == "boom");
          CHECK(a.stopped == ranks - 1);
          CHECK(a.finished == 0);
        }
    expect_usable(group);
  }
}
TEST_CASE("a rank that leaves early stops the others") {
  support::watchdog const guard("a rank leaves");
  for (int const ranks : {2, 4}) {
    thread_group group(ranks);
    for (int which = 0; which < collectives; ++which) {
      auto const a = run(group, [&](thread_communicator& comm) {
        workspace ws;
        if (comm.rank() == 1) return;
        collective(which, comm, ws);
      });
      CHECK(a.rethrown == "communicator_error");
      CHECK(a.stopped == ranks - 1);
      CHECK(a.finished == 1);
      expect_usable(group);
    }
  }
}
TEST_CASE("a rank whose lent workspace is too small throws, from every collective; the others are stopped") {
  support::watchdog const guard("a small workspace");
  for (int const ranks : {2, 3}) {
    thread_group group(ranks);
    for (int which = 0; which < collectives; ++which)
      for (std::size_t const bytes : {0u, 64u, 1000u}) {
        CAPTURE(which);
        std::vector<std::byte> lent(bytes);
        auto const a = run(group, [&](thread_communicator& comm) {
          workspace own, small({1}, lent);
          collective(which, comm, comm.rank() == ranks - 1 ? small : own);
        });
        CHECK(a.rethrown == "invalid_argument");
        CHECK(a.stopped == ranks - 1);
        CHECK(a.finished == 0);
        expect_usable(group);
      }
  }
}
TEST_CASE("a lent workspace of the size that the report names is enough, one byte less is not") {
  thread_group group(3);
  for (int which = 0; which < 3; ++which) {
    std::size_t size = 0;
    auto once = [&](std::size_t lent_bytes) {
      std::vector<std::vector<std::byte>> lent(3, std::vector<std::byte>(lent_bytes + 16));
      return run(group, [&](thread_communicator& comm) {
        auto& mine = lent[static_cast<std::size_t>(comm.rank())];
        auto const start = reinterpret_cast<std::uintptr_t>(mine.data());
        workspace ws =
            lent_bytes == 0 ? workspace{} : workspace({1}, std::span(mine).subspan((16 - start % 16) % 16, lent_bytes));
        collective(which, comm, ws);
        if (comm.rank() == 0) size = ws.size();
      });
    };
    CHECK(once(0).finished == 3);
    std::size_t const needed = size;
    CHECK(once(needed).finished == 3);
    CHECK(once(needed - 1).finished == 0);
  }
}
TEST_CASE("a late rank is a timeout on every rank; the group refuses more until all have left, then works") {
  support::watchdog const guard("a late rank");
  for (int const ranks : {2, 3}) {
    thread_group group(ranks, 50ms);
    for (int const which : {0, 1, 2, 5}) {
      std::atomic<int> refused = 0;
      auto const a = run(group, [&](thread_communicator& comm) {
        workspace ws;
        collective(which, comm, ws);
        if (comm.rank() == 0) std::this_thread::sleep_for(400ms);
        try {
          collective(which, comm, ws);
        } catch (ccomp::timeout const& e) {
          if (std::string(e.what()).find("50 ms") == std::string::npos) throw boom();
          try {
            collective(which, comm, ws);
          } catch (ccomp::timeout const&) {
            ++refused;
          }
          throw;
        }
      });
      CHECK(a.rethrown == "timeout");
      CHECK(a.late == ranks);
      CHECK(refused == ranks);
    }
    expect_usable(group);
  }
}
TEST_CASE("a rank that catches the error and calls again is refused again, and does not hang") {
  support::watchdog const guard("calls again");
  thread_group group(3);
  std::atomic<int> refusals = 0;
  auto const a = run(group, [&](thread_communicator& comm) {
    workspace ws;
    if (comm.rank() == 2) throw boom();
    for (int i = 0; i < 5; ++i) try {
        collective(i, comm, ws);
      } catch (communicator_error const&) {
        ++refusals;
      }
  });
  CHECK(refusals == 10);
  CHECK(a.rethrown == "boom");
  expect_usable(group);
}
TEST_CASE("the first exception is the one that run() rethrows, though others follow from it") {
  thread_group group(4);
  for (int i = 0; i < 50; ++i) {
    auto const a = run(group, [&](thread_communicator& comm) {
      workspace ws;
      collective(i % collectives, comm, ws, 10);
      if (comm.rank() == i % 4) throw boom();
      collective(i % collectives, comm, ws, 10);
    });
    REQUIRE(a.rethrown == "boom");
  }
}
TEST_CASE("random ranks fail at random times, alone or together: every round ends, and the next can begin") {
  support::watchdog const guard("random failures");
  for (int const ranks : {2, 3, 8}) {
    thread_group group(ranks);
    support::generator g(static_cast<std::uint64_t>(ranks));
    for (int round = 0; round < 60; ++round) {
      std::vector<int> fails_at(static_cast<std::size_t>(ranks), 99);
      int failing = 0;
      for (auto& at : fails_at)
        if (g.uniform() < 0.3) at = static_cast<int>(g.next() % 4), ++failing;
      auto const a = run(group, [&](thread_communicator& comm) {
        workspace ws;
        for (int i = 0; i < 4; ++i) {
          if (fails_at[static_cast<std::size_t>(comm.rank())] == i) throw boom();
          collective((round + i) % collectives, comm, ws, 64);
        }
      });
      if (failing == 0)
        REQUIRE(a.finished == ranks);
      else
        REQUIRE(a.rethrown == "boom");
    }
    expect_usable(group);
  }
}
TEST_CASE("a rank that fails while it reads goes on only when nobody reads what it shows; the others are stopped") {
  support::watchdog const guard("fails while reading");
  for (bool const again : {false, true}) {
    int const ranks = again ? 2 : 5;
    thread_group group(ranks);
    std::atomic<int> reading = 0, still_reading = -1;
    auto const a = run(group, [&](thread_communicator& comm) {
      std::vector<std::byte> mine(1, std::byte{7}), all(static_cast<std::size_t>(ranks));
      try {
        comm.all_gather(reading_exec{&reading}, mine, all);
      } catch (boom const&) {
        still_reading = reading - 1;
        if (!again) throw;
        workspace ws;
        collective(0, comm, ws);
      }
    });
    CHECK(still_reading == 0);
    CHECK(a.stopped == (again ? ranks : ranks - 1));
    CHECK(a.rethrown == (again ? "communicator_error" : "boom"));
    expect_usable(group);
  }
}
TEST_CASE("threads of the caller's own: a rank that goes away ends the others' wait, and the group works again") {
  support::watchdog const guard("own threads");
  thread_group group(3);
  for (int round = 0; round < 2; ++round) {
    std::atomic<int> stopped = 0, present = 0;
    {
      std::vector<std::jthread> threads;
      for (int r = 0; r < 3; ++r)
        threads.emplace_back([&, r] {
          thread_communicator comm(group, r);
          ++present;
          while (present < 3) std::this_thread::yield();
          workspace ws;
          collective(0, comm, ws);
          if (r == 1) return;
          try {
            collective(1, comm, ws);
          } catch (communicator_error const&) {
            ++stopped;
          }
        });
    }
    CHECK(stopped == 2);
  }
  expect_usable(group);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
TEST_CASE("a thread that cannot be started fails the run at once, and the group can be used again") {
  support::watchdog const guard("no thread");
  ccomp::thread_group group(64, std::chrono::minutes(5));
  auto const body = [](thread_communicator& comm) {
    workspace ws;
    std::vector<float> x(10, 1.0f);
    ccomp::allreduce({1}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws);
  };
  rlimit old{};
  getrlimit(RLIMIT_AS, &old);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit tight = old;
  tight.rlim_cur = pages * 4096 + (64u << 20);  // room for a few stacks of 8 MiB
  REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
  std::string said;
  try {
    group.run(body);
  } catch (ccomp::communicator_error const& e) {
    said = e.what();
  }
  REQUIRE(setrlimit(RLIMIT_AS, &old) == 0);
  CHECK(said.find("cannot be started") != std::string::npos);
  group.run(body);
}
#endif
