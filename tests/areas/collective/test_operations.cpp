// The calls of single ranks, pairs and chunks: against float64 sums of decoded payloads, and against each other.
#include <support/codec.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace operation_cases {

using namespace ccomp;
using support::erase;
using support::erased;
using support::per_rank;
using support::same_bits;
using host_workspace = ccomp::workspace<host_exec>;

inline std::vector<erased> operation_compressors() {
  return {erase(uniform_quantize<8>{}), erase(hadamard_rotate{.seed = 2} | uniform_quantize<4>{.block = 64}),
          erase(uniform_quantize<3>{.round = rounding::stochastic}), erase(cast<float16>{}),
          erase(top_k{.ratio = 0.05} | uniform_quantize<4>{.round = rounding::stochastic})};
}
inline std::size_t own(thread_communicator const& comm) { return static_cast<std::size_t>(comm.rank()); }
template <class T> std::vector<T> cut_out(std::vector<T> const& x, std::size_t first, std::size_t n) {
  return {x.begin() + static_cast<std::ptrdiff_t>(first), x.begin() + static_cast<std::ptrdiff_t>(first + n)};
}
inline std::size_t slot_of(erased const& c, std::size_t n) { return 32 + payload_bytes<float>(c, n); }
constexpr collective_options now{.at = 4, .tensor = 3};

/// What each rank is told; empty: nothing.
template <class Error, class F> std::vector<std::string> all_told(int ranks, F const& f) {
  std::vector<std::string> said(static_cast<std::size_t>(ranks));
  thread_group(ranks, std::chrono::seconds(20)).run([&](thread_communicator& comm) {
    try {
      f(comm);
    } catch (Error const& e) {
      said[own(comm)] = e.what();
    }
  });
  return said;
}

template <class T> void check_sums(int ranks, std::size_t n, erased const& c) {
  auto const in = support::gradients<T>(ranks, n, n + 1);
  for (int const root : {0, ranks - 1})
    for (auto const op : {reduction::sum, reduction::mean}) {
      per_rank<T> decoded;
      for (std::uint32_t r = 0; r < in.size(); ++r)
        decoded.push_back(support::round_trip(c, in[r], {.at = 4, .tensor = 3, .rank = r}));
      auto const want = support::exact_sum(decoded);
      std::vector<T> got(n);
      bool untouched = true;
      std::vector<collective_report> reports(in.size());
      thread_group(ranks).run([&](thread_communicator& comm) {
        host_workspace ws;
        auto const mine = in[own(comm)];
        std::vector<T> out(n, T(7.0f));
        auto const other = out;
        reports[own(comm)] = reduce_to({1}, comm, c, mine, out, root, ws, {.op = op, .at = 4, .tensor = 3});
        if (comm.rank() == root)
          got = out;
        else if (!same_bits(out, other))
          untouched = false;
      });
      CHECK(untouched);
      double const divisor = op == reduction::mean ? ranks : 1, place = sizeof(T) == 4 ? 0x1p-23 : 0x1p-8;
      bool const rotated =
          c.text().find("hadamard") != std::string::npos;  // each sum then has parts of its whole block
      double whole = 0;
      std::vector<double> sizes(n), off(n);
      for (std::size_t i = 0; i < n; ++i) {
        for (auto const& d : decoded) sizes[i] += std::abs(static_cast<double>(static_cast<float>(d[i])));
        off[i] = std::abs(static_cast<double>(static_cast<float>(got[i])) - want[i] / divisor);
        whole = std::max(whole, sizes[i]);
      }
      bool near = true;
      for (std::size_t i = 0; i < n; ++i)
        near = near && off[i] <= ranks * place * (rotated ? 4 * whole : sizes[i]) / divisor;
      CHECK(near);
      for (std::size_t r = 0; r < in.size(); ++r) {
        bool const is_root = static_cast<int>(r) == root;
        CHECK(reports[r].bytes_sent == (is_root ? 0 : 32 + payload_bytes<T>(c, n)));
      }
    }
}

/// gather_to and allgatherv have allgather's bits, send and receive have broadcast's.
inline void check_shards(int ranks, std::size_t n, erased const& c) {
  auto const in = support::gradients(ranks, n, n + 2);
  auto const w = in.size();
  thread_group(ranks).run([&](thread_communicator& comm) {
    host_workspace ws;
    auto const& mine = in[own(comm)];
    std::vector<float> full(w * n), other(w * n);
    auto const before = other;
    allgather({1}, comm, c, mine, full, ws, now);
    for (int root = 0; root < ranks; ++root) {
      bool const is_root = comm.rank() == root;
      auto const report = gather_to({1}, comm, c, mine, is_root ? std::span(other) : std::span<float>(), root, ws, now);
      CHECK(report.bytes_sent == (is_root ? 0 : slot_of(c, n)));
      if (is_root) CHECK(same_bits(other, full));
    }
    std::vector<std::size_t> const counts(w, n);
    other = before;
    auto const report = allgatherv({1}, comm, c, mine, other, counts, ws, now);
    CHECK(report.bytes_sent == (w - 1) * slot_of(c, n));
    CHECK(same_bits(other, full));
    // Along the ranks, as the stages of a pipeline.
    std::vector<float> passed(n);
    if (comm.rank() > 0) CHECK(receive({1}, comm, c, passed, comm.rank() - 1, ws, now).bytes_sent == 0);
    if (comm.rank() + 1 < ranks) CHECK(send({1}, comm, c, mine, comm.rank() + 1, ws, now).bytes_sent == slot_of(c, n));
    if (comm.rank() > 0) CHECK(same_bits(passed, cut_out(full, (own(comm) - 1) * n, n)));
  });
}

/// all_to_all has what scatter_from of every rank gives, and its sum is reduce_scatter's chunk.
inline void check_chunks(int ranks, std::size_t n, erased const& c) {
  auto const w = static_cast<std::size_t>(ranks);
  auto const in = support::gradients(ranks, w * n, n + 3);
  bool const rotated = c.text().find("hadamard") != std::string::npos;  // summed before it is rotated back
  bool const random = rotated || c.text().find("stochastic") != std::string::npos;
  thread_group(ranks).run([&](thread_communicator& comm) {
    host_workspace ws;
    auto const mine = in[own(comm)];
    std::vector<float> out(w * n), chunk(n), sum(n);
    auto const report = all_to_all({2}, comm, c, mine, out, ws, now);
    CHECK(report.bytes_sent == (w - 1) * slot_of(c, n));
    CHECK(same_bits(mine, in[own(comm)]));
    for (std::size_t from = 0; from < w; ++from) {
      bool const is_root = own(comm) == from;
      auto const data = is_root ? std::span<float const>(mine) : std::span<float const>();
      auto const sent = scatter_from({1}, comm, c, data, chunk, static_cast<int>(from), ws, now).bytes_sent;
      CHECK(sent == (is_root ? (w - 1) * slot_of(c, n) : 0));
      CHECK(same_bits(chunk, cut_out(out, from * n, n)));
      if (!random) CHECK(same_bits(chunk, support::round_trip(c, cut_out(in[from], own(comm) * n, n))));
      for (std::size_t i = 0; i < n; ++i) sum[i] = from == 0 ? chunk[i] : sum[i] + chunk[i];
    }
    reduce_scatter({1}, comm, c, mine, chunk, ws, {.op = reduction::sum, .at = 4, .tensor = 3});
    if (!rotated) CHECK(same_bits(chunk, sum));
    auto in_place = in[own(comm)];
    all_to_all({1}, comm, c, in_place, in_place, ws, now);
    CHECK(same_bits(in_place, out));
  });
}

}  // namespace operation_cases

TEST_CASE("operations: every call has the payloads of the others, on 1, 2, 3 and 5 ranks") {
  using namespace operation_cases;
  support::watchdog const guard("operations");
  for (int const ranks : {1, 2, 3, 5})
    for (std::size_t const n : {0u, 1u, 513u, 2500u})
      for (auto const& c : operation_compressors()) {
        CAPTURE(c.text());
        CAPTURE(ranks);
        CAPTURE(n);
        check_sums<float>(ranks, n, c);
        check_shards(ranks, n, c);
        check_chunks(ranks, n, c);
      }
  check_sums<float16>(3, 1000, erase(uniform_quantize<8>{}));
  check_sums<bfloat16>(3, 1000, erase(uniform_quantize<8>{}));
}

TEST_CASE("operations: a group of one sends nothing") {
  using namespace operation_cases;
  self_communicator comm;
  host_workspace ws;
  auto const c = uniform_quantize<8>{};
  std::vector<float> const x = support::gaussian_values(700, 3);
  auto const want = support::round_trip(c, x);
  std::vector<float> y(700);
  std::vector<std::size_t> const counts{700};
  auto const gives = [&](collective_report const& report) {
    CHECK(report.bytes_sent == 0);
    CHECK(same_bits(y, want));
    y.assign(700, 0.0f);
  };
  gives(all_to_all({1}, comm, c, x, y, ws));
  gives(reduce_to({1}, comm, c, x, y, 0, ws));
  gives(gather_to({1}, comm, c, x, y, 0, ws));
  gives(scatter_from({1}, comm, c, x, y, 0, ws));
  gives(allgatherv({1}, comm, c, x, y, counts, ws));
  CHECK_THROWS_WITH_AS(send({1}, comm, c, x, 0, ws), doctest::Contains("send: rank 0 is this rank itself"),
                       invalid_argument);
  CHECK_THROWS_WITH_AS(receive({1}, comm, c, y, 1, ws), doctest::Contains("receive: rank 1 of a group of 1"),
                       invalid_argument);
}

TEST_CASE("operations: shards of different sizes, some of them empty") {
  using namespace operation_cases;
  support::watchdog const guard("allgatherv");
  for (auto const& counts : std::vector<std::vector<std::size_t>>{{0}, {5, 0}, {0, 1000, 33}, {7, 513, 0, 0, 64}})
    for (auto const& c : operation_compressors()) {
      per_rank<float> in, full(counts.size());
      std::vector<float> want;
      std::size_t total = 0;
      for (std::uint32_t r = 0; r < counts.size(); ++r) {
        in.push_back(support::gaussian_values(counts[r], r + 9));
        auto const one = support::round_trip(c, in[r], {.at = 4, .tensor = 3, .rank = r});
        want.insert(want.end(), one.begin(), one.end());
        total += counts[r];
      }
      thread_group(static_cast<int>(counts.size())).run([&](thread_communicator& comm) {
        host_workspace ws;
        full[own(comm)].resize(total);
        auto const sent = allgatherv({1}, comm, c, in[own(comm)], full[own(comm)], counts, ws, now).bytes_sent;
        CHECK(sent == (counts.size() - 1) * slot_of(c, counts[own(comm)]));
      });
      for (auto const& f : full) CHECK(same_bits(f, want));
    }
}

TEST_CASE("operations: a rank that encodes keeps what it left out, and no other rank does") {
  using namespace operation_cases;
  support::watchdog const guard("operations: feedback");
  std::size_t constexpr n = 900;
  auto const in = support::gradients(3, 3 * n);
  uniform_quantize<2> const c{};
  thread_group(3).run([&](thread_communicator& comm) {
    host_workspace ws;
    auto const whole = in[own(comm)], shard = cut_out(whole, 0, n);
    std::vector<float> all(3 * n), one(n);
    /// What two calls leave in a residual of `size` values.
    auto const left = [&](std::size_t size, auto const& call) {
      error_feedback ef{c, size};
      bool feedback = true;
      for (int step = 0; step < 2; ++step) feedback = call(ef).feedback && feedback;
      return std::pair(ef.residual_copy(), feedback);
    };
    auto const of_shard = left(n, [&](auto& ef) { return allgather({1}, comm, ef, shard, all, ws); });
    auto const of_chunks = left(3 * n, [&](auto& ef) { return reduce_scatter({1}, comm, ef, whole, one, ws); });
    std::vector<std::size_t> const counts(3, n);
    CHECK(left(n, [&](auto& ef) { return gather_to({1}, comm, ef, shard, all, 1, ws); }) == of_shard);
    CHECK(left(n, [&](auto& ef) { return reduce_to({1}, comm, ef, shard, one, 1, ws); }) == of_shard);
    CHECK(left(n, [&](auto& ef) { return allgatherv({1}, comm, ef, shard, all, counts, ws); }) == of_shard);
    CHECK(left(3 * n, [&](auto& ef) { return all_to_all({1}, comm, ef, whole, all, ws); }) == of_chunks);
    std::pair const nothing(std::vector<float>(n), false);
    if (comm.rank() == 1) {
      CHECK(left(3 * n, [&](auto& ef) { return scatter_from({1}, comm, ef, whole, one, 1, ws); }) == of_chunks);
      CHECK(left(n, [&](auto& ef) { return send({1}, comm, ef, shard, 2, ws); }) == of_shard);
    } else {
      CHECK(left(n, [&](auto& ef) { return scatter_from({1}, comm, ef, one, one, 1, ws); }) == nothing);
      if (comm.rank() == 2) CHECK(left(n, [&](auto& ef) { return receive({1}, comm, ef, one, 1, ws); }) == nothing);
    }
  });
}

TEST_CASE("operations: wrong sizes and roots are refused before anything is sent") {
  using namespace operation_cases;
  support::watchdog const guard("operations: refused");
  uniform_quantize<8> const c{};
  thread_group(2).run([&](thread_communicator& comm) {
    host_workspace ws;
    std::vector<float> x(10, 1.0f), y(21, 2.0f);
    auto const x_before = x, y_before = y;
    std::vector<std::size_t> const one{10}, other{11, 11}, right{10, 10};
    auto const refuses = [&](auto const& f, char const* what) {
      CHECK_THROWS_WITH_AS(f(), doctest::Contains(what), invalid_argument);
    };
    refuses([&] { all_to_all({1}, comm, c, y, y, ws); }, "21 values is not 2 chunks of one size");
    refuses([&] { all_to_all({1}, comm, c, x, y, ws); }, "needs an output of as many, got 21");
    for (int const root : {-1, 2}) {
      std::string const text = "root " + std::to_string(root) + " of 2 ranks";
      refuses([&] { reduce_to({1}, comm, c, x, x, root, ws); }, text.c_str());
      refuses([&] { gather_to({1}, comm, c, x, y, root, ws); }, text.c_str());
      refuses([&] { scatter_from({1}, comm, c, x, y, root, ws); }, text.c_str());
      refuses([&] { send({1}, comm, c, x, root, ws); }, "of a group of 2");
      refuses([&] { receive({1}, comm, c, x, root, ws); }, "of a group of 2");
    }
    int const me = comm.rank();
    refuses([&] { reduce_to({1}, comm, c, x, y, me, ws); }, "on the root, got 21");
    refuses([&] { gather_to({1}, comm, c, x, y, me, ws); }, "on the root, got 21");
    refuses([&] { scatter_from({1}, comm, c, y, x, me, ws); }, "on the root, got 21");
    refuses([&] { send({1}, comm, c, x, me, ws); }, "is this rank itself");
    refuses([&] { receive({1}, comm, c, x, me, ws); }, "is this rank itself");
    refuses([&] { allgatherv({1}, comm, c, x, y, one, ws); }, "1 counts for 2 ranks");
    refuses([&] { allgatherv({1}, comm, c, x, y, other, ws); }, "a count of 11");
    refuses([&] { allgatherv({1}, comm, c, x, y, right, ws); }, "need an output of as many, got 21");
    CHECK((same_bits(x, x_before) && same_bits(y, y_before)));
    std::vector<float> z(20);
    allgatherv({1}, comm, c, x, z, right, ws);
    CHECK(std::ranges::all_of(z, [](float v) { return std::abs(v - 1) < 1e-3f; }));
  });
}

TEST_CASE("operations: ranks that disagree are told on every rank, and write nothing") {
  using namespace operation_cases;
  support::watchdog const guard("operations: disagree");
  uniform_quantize<8> const c{};
  auto const disagree = [&](char const* what, auto const& call) {
    auto const said = all_told<rank_mismatch>(3, [&](thread_communicator& comm) {
      host_workspace ws;
      std::vector<float> x(30, 1.0f), y(90, 2.0f);
      auto const before = y;
      try {
        call(comm, ws, x, y, comm.rank() == 2);
      } catch (rank_mismatch const&) {
        CHECK(same_bits(y, before));
        throw;
      }
    });
    for (auto const& text : said) support::has(text, what);
  };
  using x_t = std::vector<float>&;
  disagree("root 1", [&](auto& comm, auto& ws, x_t x, x_t y, bool odd) { gather_to({1}, comm, c, x, y, odd, ws); });
  disagree("n = 29", [&](auto& comm, auto& ws, x_t x, x_t y, bool odd) {
    std::span const part(x.data(), odd ? 29u : 30u);
    reduce_to({1}, comm, c, part, std::span(y.data(), part.size()), 0, ws);
  });
  disagree("n = 29", [&](auto& comm, auto& ws, x_t, x_t y, bool odd) {
    std::vector<float> input(90);
    scatter_from({1}, comm, c, input, std::span(y.data(), odd ? 29u : 30u), 0, ws);
  });
  disagree("all_to_all(", [&](auto& comm, auto& ws, x_t x, x_t y, bool odd) {
    if (odd) return static_cast<void>(gather_to({1}, comm, c, x, y, 2, ws));
    all_to_all({1}, comm, c, std::vector<float>(90), y, ws);
  });
  disagree("n = 30 + 29 + 30", [&](auto& comm, auto& ws, x_t x, x_t y, bool odd) {
    std::vector<std::size_t> const counts{30, odd ? 29u : 30u, 30};
    allgatherv({1}, comm, c, x, std::span(y.data(), odd ? 89u : 90u), counts, ws);
  });
}

TEST_CASE("operations: the receiver finds by the header what does not fit, and may go on") {
  using namespace operation_cases;
  support::watchdog const guard("receive: mismatch");
  uniform_quantize<8> const c{};
  thread_group(3).run([&](thread_communicator& comm) {
    host_workspace ws;
    std::vector<float> x(512, 1.0f);
    auto const before = x;
    auto const pair = [&](auto const& sends, auto const& receives, char const* what) {
      if (comm.rank() == 0) sends();
      if (comm.rank() == 1) {
        CHECK_THROWS_WITH_AS(receives(), doctest::Contains(what), rank_mismatch);
        CHECK(same_bits(x, before));
      }
    };
    char const* const differs = "receive: rank 0 sent bytes of another call";
    pair([&] { send({1}, comm, c, x, 1, ws, {.at = 1}); }, [&] { receive({1}, comm, c, x, 0, ws, {.at = 2}); },
         differs);
    pair([&] { send({1}, comm, c, x, 1, ws, {.tensor = 1}); }, [&] { receive({1}, comm, c, x, 0, ws, {.tensor = 2}); },
         differs);
    pair([&] { send({1}, comm, cast<bfloat16>{}, std::span(x).first(256), 1, ws); },
         [&] { receive({1}, comm, cast<float16>{}, std::span(x).first(256), 0, ws); }, differs);
    // Of another length: both are told.
    if (comm.rank() == 0)
      CHECK_THROWS_WITH_AS(send({1}, comm, c, std::span(x).first(100), 1, ws), doctest::Contains("which expects"),
                           rank_mismatch);
    if (comm.rank() == 1)
      CHECK_THROWS_WITH_AS(receive({1}, comm, c, x, 0, ws), doctest::Contains("which expects"), rank_mismatch);
    allreduce({1}, comm, c, x, ws);
  });
}

TEST_CASE("operations: a partner that leaves or does not come ends the wait, and no other rank is stopped") {
  using namespace operation_cases;
  support::watchdog const guard("send: failure");
  uniform_quantize<8> const c{};
  auto const left = all_told<communicator_error>(4, [&](thread_communicator& comm) {
    host_workspace ws;
    std::vector<float> x(512, 1.0f);
    if (comm.rank() == 1) receive({1}, comm, c, x, 0, ws);  // rank 0 leaves
    if (comm.rank() == 2) send({1}, comm, c, x, 3, ws);
    if (comm.rank() == 3) receive({1}, comm, c, x, 2, ws);
  });
  support::has(left[1], "receive: thread_group: rank 0 has left the group");
  CHECK((left[2].empty() && left[3].empty()));

  thread_group group(2, std::chrono::milliseconds(50));
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> said(2);
    std::atomic<int> done{0};
    group.run([&](thread_communicator& comm) {
      host_workspace ws;
      std::vector<float> x(512, 1.0f);
      if (comm.rank() == 0) try {
          send({1}, comm, c, x, 1, ws);
        } catch (timeout const& e) {
          said[0] = e.what();
        }
      ++done;
      while (done < 2) std::this_thread::yield();
      if (comm.rank() == 1) try {  // refused: the group has failed
          allreduce({1}, comm, c, x, ws);
        } catch (timeout const& e) {
          said[1] = e.what();
        }
    });
    support::has(said[0], "send: thread_group: rank 0 waited 50 ms for rank 1 to receive a message");
    support::has(said[1], "rank 0 waited 50 ms for rank 1");
  }
}

TEST_CASE("split: uneven groups of threads, each with collectives of its own, and ranks without one") {
  using namespace operation_cases;
  support::watchdog const guard("split");
  for (int const ranks : {1, 2, 3, 5, 7}) {
    std::vector<std::vector<int>> where(static_cast<std::size_t>(ranks));
    thread_group(ranks).run([&](thread_communicator& comm) {
      int const r = comm.rank(), cores = detail::ranks_in_process();
      // Ranks 0, 3, 6 without; 1, 4 in group 1, the last rank first; 2, 5 in group 2.
      auto sub = comm.split(r % 3 == 0 ? thread_communicator::no_color : r % 3, -r);
      CHECK(sub.has_value() == (r % 3 != 0));
      if (!sub) return;
      CHECK(detail::ranks_in_process() == cores);
      where[own(comm)] = {sub->rank(), sub->size()};
      host_workspace ws;
      std::vector<float> x(100, static_cast<float>(r));
      allreduce({1}, *sub, cast<float16>{}, x, ws, {.op = reduction::sum});
      float sum = 0;
      for (int other = r % 3; other < ranks; other += 3) sum += static_cast<float>(other);
      CHECK(x == std::vector<float>(100, sum));
      auto moved = std::move(*sub);
      auto alone = moved.split(moved.rank(), 0);
      CHECK((alone->size() == 1 && alone->rank() == 0));
    });
    for (int r = 0; r < ranks; ++r) {
      int const color = r % 3, size = color == 0 ? 0 : (ranks - color + 2) / 3;
      if (color != 0) CHECK(where[static_cast<std::size_t>(r)] == std::vector<int>{size - 1 - r / 3, size});
    }
  }
  auto const wrong =
      all_told<invalid_argument>(1, [](thread_communicator& comm) { static_cast<void>(comm.split(-2, 0)); });
  support::has(wrong[0], "a colour is 0 or more, or no_color, got -2");
  // A rank that fails in its group stops those of its group.
  auto const stopped = all_told<communicator_error>(4, [](thread_communicator& comm) {
    auto sub = comm.split(comm.rank() % 2, 0);
    if (comm.rank() == 1) return;
    host_workspace ws;
    std::vector<float> x(10);
    allreduce({1}, *sub, cast<float16>{}, x, ws);
  });
  support::has(stopped[3], "rank 0 has left the group");
  CHECK((stopped[0].empty() && stopped[2].empty()));
}
