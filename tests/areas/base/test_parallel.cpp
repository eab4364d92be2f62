#include <ccomp/core/host_exec.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ccomp;

TEST_CASE("parallel: ranges cover every item once, for any thread count") {
  for (int threads : {1, 2, 3, 7, 16})
    for (std::size_t items : {0u, 1u, 2u, 6u, 7u, 8u, 100u, 1001u}) {
      std::vector<std::atomic<int>> hits(items);
      std::atomic<int> calls{0}, empty{0};
      detail::parallel_ranges({.threads = threads}, items, std::size_t{1} << 20,
                              [&](std::size_t begin, std::size_t end) {
                                ++calls;
                                empty += begin >= end;
                                for (std::size_t i = begin; i < end; ++i) ++hits[i];
                              });
      std::size_t once = 0;
      for (auto const& h : hits) once += h == 1;
      CAPTURE(threads);
      CAPTURE(items);
      CHECK(once == items);
      CHECK(calls <= threads);
      CHECK(empty == 0);
      CHECK((items == 0) == (calls == 0));
    }
}

TEST_CASE("parallel: little work stays on the calling thread") {
  std::atomic<int> calls{0};
  detail::parallel_ranges({.threads = 8}, 100, 1, [&](std::size_t begin, std::size_t end) {
    ++calls;
    CHECK(begin == 0);
    CHECK(end == 100);
  });
  CHECK(calls == 1);
}

TEST_CASE("parallel: a team runs every part once") {
  for (int parts : {1, 2, 5, 33}) {
    std::mutex lock;
    std::multiset<int> seen;
    detail::run_team(parts, [&](int part, int of) {
      std::lock_guard const hold(lock);
      seen.insert(part);
      if (of != parts) seen.insert(-1);
    });
    CHECK(seen.size() == static_cast<std::size_t>(parts));
    CHECK(*seen.begin() == 0);
    CHECK(*seen.rbegin() == parts - 1);
    CHECK(std::set<int>(seen.begin(), seen.end()).size() == seen.size());
  }
}

TEST_CASE("parallel: an exception in any part reaches the caller after all parts have ended") {
  for (int parts : {1, 2, 4})
    for (int bad = 0; bad < parts; ++bad) {
      std::atomic<int> ended{0};
      std::string what;
      try {
        detail::run_team(parts, [&](int part, int) {
          if (part == bad) throw std::runtime_error("part " + std::to_string(part));
          ++ended;
        });
      } catch (std::runtime_error const& e) {
        what = e.what();
      }
      CHECK(what == "part " + std::to_string(bad));
      CHECK(ended == parts - 1);
    }
}

TEST_CASE("parallel: of several exceptions the first part's is the one") {
  std::string what;
  try {
    detail::run_team(4, [&](int part, int) { throw std::runtime_error("part " + std::to_string(part)); });
  } catch (std::runtime_error const& e) {
    what = e.what();
  }
  CHECK(what == "part 0");
}

TEST_CASE("host_exec: a negative thread count is refused, zero means at least one") {
  CHECK_THROWS_AS(detail::resolve_threads({.threads = -1}), invalid_argument);
  CHECK(detail::resolve_threads({.threads = 0}) >= 1);
  CHECK(detail::resolve_threads({.threads = 5}) == 5);
}

TEST_CASE("host_exec: automatic resolves to a variant that this CPU has, a missing one is an error") {
  auto const best = detail::resolve_isa({});
  CHECK(best != instruction_set::automatic);
  CHECK(detail::cpu_has(best));
  CHECK(detail::resolve_isa({.isa = instruction_set::baseline}) == instruction_set::baseline);
  for (auto isa : {instruction_set::avx2, instruction_set::avx512}) {
    if (detail::cpu_has(isa)) {
      CHECK(detail::resolve_isa({.isa = isa}) == isa);
    } else {
      CHECK_THROWS_AS(detail::resolve_isa({.isa = isa}), invalid_argument);
    }
  }
}

TEST_CASE("host_exec: allocations are aligned for every vector width") {
  for (std::size_t bytes : {1u, 63u, 4096u}) {
    void* p = host_exec::allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
    host_exec::deallocate(p);
  }
}

TEST_CASE("isa: a product and a sum keep both roundings in every variant") {
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 when fused, 0 when the product is rounded first.
  std::size_t const n = 67;
  float volatile hidden = 1.0f + 0x1p-12f;  // from the compiler, which would compute everything
  float const one_and_a_bit = hidden;
  std::vector<float> a(n, one_and_a_bit), b(n, one_and_a_bit), c(n, -(1.0f + 0x1p-11f));
  REQUIRE(std::fma(a[0], b[0], c[0]) == 0x1p-24f);
  for (auto isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    CAPTURE(detail::isa_name(isa));
    std::vector<float> out(n, -1.0f);
    detail::run(isa, [pa = a.data(), pb = b.data(), pc = c.data(), po = out.data(), count = n] {
      for (std::size_t i = 0; i < count; ++i) po[i] = detail::add(detail::mul(pa[i], pb[i]), pc[i]);
    });
    std::size_t fused = 0;
    for (float v : out) fused += v != 0.0f;
    CHECK(fused == 0);
  }
}
