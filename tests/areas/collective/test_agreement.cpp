#include <support/codebooks.hpp>
#include <support/ranks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/quantize/vector_quantize.hpp>

#include <doctest/doctest.h>

#include <array>
#include <functional>

using support::erase;
using support::erased;
using support::how;
using workspace = ccomp::workspace<ccomp::host_exec>;

namespace {

using ccomp::host_exec;
using ccomp::thread_communicator;
using ccomp::thread_group;

/// What a rank calls; the odd rank out differs in one thing.
struct call {
  std::size_t n = 1000;
  int type = 0;  // 0: float, 1: float16, 2: bfloat16
  erased c = erase(ccomp::uniform_quantize<8>{});
  how strategy = how::gather;
  ccomp::allreduce_options options{.at = 0};
  bool several = false;
  bool feedback = false;

  void run(thread_communicator& comm) const {
    if (type == 0) return with<float>(comm);
    if (type == 1) return with<ccomp::float16>(comm);
    with<ccomp::bfloat16>(comm);
  }
  template <class T> void with(thread_communicator& comm) const {
    workspace ws;
    std::vector<T> x(n, T(1.0f)), y(64, T(2.0f));
    if (feedback) {
      ccomp::error_feedback ef{c, n, host_exec{}, {.id = options.tensor}};
      auto const before = ef.save();
      try {
        support::allreduce_by(strategy, {1}, comm, ef, x, ws, options);
      } catch (ccomp::rank_mismatch const&) {
        if (!ef.valid() || ef.save() != before) throw std::logic_error("a refused call touched the residual");
        throw;
      }
      return;
    }
    if (several) {
      std::array<ccomp::tensor_view, 2> list{ccomp::tensor_view(std::span(x), options.tensor),
                                             ccomp::tensor_view(std::span(y), options.tensor + 1)};
      support::allreduce_by(strategy, {1}, comm, c, list, ws, options);
      return;
    }
    auto const before = x;
    try {
      support::allreduce_by(strategy, {1}, comm, c, x, ws, options);
    } catch (ccomp::rank_mismatch const&) {
      if (!support::same_bits(x, before)) throw std::logic_error("a refused call touched the tensor");
      throw;
    }
  }
};

/// All ranks get rank_mismatch with both texts; then the same group works, in the same run and in the next.
void expect_mismatch(thread_group& group, int odd, std::function<void(thread_communicator&)> const& usual,
                     std::function<void(thread_communicator&)> const& other, std::string const& mine,
                     std::string const& theirs) {
  auto const ranks = static_cast<std::size_t>(group.size());
  std::vector<std::string> messages(ranks);
  std::vector<int> fine(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    try {
      (comm.rank() == odd ? other : usual)(comm);
    } catch (ccomp::rank_mismatch const& e) {
      messages[r] = e.what();
    }
    usual(comm);
    fine[r] = 1;
  });
  for (std::size_t r = 0; r < ranks; ++r) {
    CAPTURE(r);
    CAPTURE(messages[r]);
    CHECK(messages[r].find(odd == 0 ? theirs : mine) != std::string::npos);
    CHECK(messages[r].find(odd == 0 ? mine : theirs) != std::string::npos);
    CHECK(messages[r].find("rank 0 calls") != std::string::npos);
    CHECK(messages[r].find(odd == 0 ? "rank 1 calls" : "rank " + std::to_string(odd) + " calls") != std::string::npos);
    CHECK(fine[r] == 1);
  }
  CHECK_THROWS_AS(group.run([&](thread_communicator& comm) { (comm.rank() == odd ? other : usual)(comm); }),
                  ccomp::rank_mismatch);
  group.run(usual);
}

}  // namespace

TEST_CASE("ranks that disagree about an allreduce all learn it, with both sides named, and can go on") {
  support::watchdog const guard("disagreement");
  using ccomp::uniform_quantize;
  struct variant {
    char const* what;
    std::function<void(call&)> change;
    std::string usual, other;
  };
  variant const variants[] = {
      {"n", [](call& c) { c.n = 1001; }, "n = 1000", "n = 1001"},
      {"n within one payload size", [](call& c) { c.n = 999; }, "n = 1000", "n = 999"},
      {"n = 0", [](call& c) { c.n = 0; }, "n = 1000", "n = 0"},
      {"element type", [](call& c) { c.type = 1; }, "float32", "float16"},
      {"element type of one width", [](call& c) { c.type = 2; }, "float32", "bfloat16"},
      {"block", [](call& c) { c.c = erase(uniform_quantize<8>{.block = 256}); }, "uniform_quantize<8>,", "block=256"},
      {"bits", [](call& c) { c.c = erase(uniform_quantize<7>{}); }, "uniform_quantize<8>", "uniform_quantize<7>"},
      {"seed", [](call& c) { c.c = erase(uniform_quantize<8>{.seed = 3}); }, "uniform_quantize<8>,", "seed=3"},
      {"rounding", [](call& c) { c.c = erase(uniform_quantize<8>{.round = ccomp::rounding::stochastic}); },
       "uniform_quantize<8>,", "round=stochastic"},
      {"compressor", [](call& c) { c.c = erase(ccomp::cast<ccomp::fp8_e4m3>{.block = 512}); }, "uniform_quantize<8>",
       "cast<fp8_e4m3>(block=512)"},
      {"operation", [](call& c) { c.options.op = ccomp::reduction::sum; }, "mean", "sum"},
      {"step", [](call& c) { c.options.at = 4; }, "step 0", "step 4"},
      {"tensor id", [](call& c) { c.options.tensor = 17; }, "id 0", "id 17"},
      {"strategy", [](call& c) { c.strategy = how::two_shot; }, "gather", "two_shot"},
      {"several tensors", [](call& c) { c.several = true; }, "n = 1000 float32 id 0)", "n = 64 float32 id 1"}};
  for (int const ranks : {2, 3, 7}) {
    thread_group group(ranks);
    for (auto const& v : variants)
      for (bool const feedback : {false, true})
        for (int const odd : {0, ranks / 2, ranks - 1}) {
          if (feedback && std::string(v.what) == "several tensors") continue;
          CAPTURE(ranks);
          CAPTURE(std::string(v.what));
          CAPTURE(odd);
          call usual, other;
          usual.feedback = other.feedback = feedback;
          v.change(other);
          expect_mismatch(
              group, odd, [&](auto& comm) { usual.run(comm); }, [&](auto& comm) { other.run(comm); }, v.usual, v.other);
        }
  }
}
TEST_CASE("ranks that disagree about the order of tensors learn it") {
  support::watchdog const guard("order of tensors");
  thread_group group(3);
  auto run = [](thread_communicator& comm, bool swapped) {
    std::vector<float> a(10, 1.0f), b(10, 2.0f);
    workspace ws;
    std::vector<ccomp::tensor_view> list{{std::span(a), 1u}, {std::span(b), 2u}};
    if (swapped) std::swap(list[0], list[1]);
    ccomp::allreduce({1}, comm, ccomp::uniform_quantize<8>{}, list, ws);
  };
  expect_mismatch(
      group, 1, [&](auto& comm) { run(comm, false); }, [&](auto& comm) { run(comm, true); }, "id 1, n = 10",
      "id 2, n = 10");
}
TEST_CASE("ranks that disagree about a tensor that the message does not show learn that they do") {
  support::watchdog const guard("many tensors");
  thread_group group(2);
  std::vector<std::string> said(2);
  group.run([&](thread_communicator& comm) {
    std::vector<float> x(100);
    std::vector<ccomp::tensor_view> list;
    for (std::uint64_t i = 0; i < 6; ++i) list.emplace_back(std::span(x).first(10), i);
    if (comm.rank() == 1) list.back() = {std::span(x).first(11), 5};
    workspace ws;
    try {
      ccomp::allreduce({1}, comm, ccomp::uniform_quantize<8>{}, list, ws);
    } catch (ccomp::rank_mismatch const& e) {
      said[static_cast<std::size_t>(comm.rank())] = e.what();
    }
  });
  auto const at = said[0].find("6 tensors with the checksum "), again = said[0].rfind("6 tensors with the checksum ");
  REQUIRE(at != std::string::npos);
  CHECK(at != again);
  CHECK(said[0].substr(at, 40) != said[0].substr(again, 40));
}
TEST_CASE("ranks whose codebooks differ but not their names are told so by checksums") {
  support::watchdog const guard("codebooks");
  thread_group group(2);
  auto const checksum = [](ccomp::vector_codebook const& book) {
    return "codebook with the checksum " + std::to_string(book.fingerprint() % 1000000) +
           ", vector_quantize<4x8>(codebook=unsaved)";
  };
  auto const first = support::random_words({4, 8, 1}, 3), second = support::random_words({4, 8, 1}, 4);
  auto const run = [](thread_communicator& comm, ccomp::vector_codebook const& book) {
    std::vector<float> x(100, 1.0f);
    workspace ws;
    ccomp::allreduce({1}, comm, ccomp::vector_quantize<4, 8>{book}, x, ws);
  };
  expect_mismatch(
      group, 1, [&](auto& comm) { run(comm, first); }, [&](auto& comm) { run(comm, second); }, checksum(first),
      checksum(second));
  // A stage without a codebook has nothing to show beside its text.
  expect_mismatch(
      group, 1, [&](auto& comm) { run(comm, {}); }, [&](auto& comm) { run(comm, second); },
      "step 0, vector_quantize<4x8>, n = 100", checksum(second));
}
TEST_CASE("ranks that disagree about the collective, the root or a shard's size learn it") {
  support::watchdog const guard("other collectives");
  ccomp::uniform_quantize<8> const c{};
  std::vector<float> const zero(600);
  for (int const ranks : {2, 3}) {
    auto const w = static_cast<std::size_t>(ranks);
    thread_group group(ranks);
    auto reduce = [&](auto& comm) {
      std::vector<float> x(600);
      workspace ws;
      ccomp::allreduce({1}, comm, c, x, ws);
    };
    auto broadcast = [&](int root, std::size_t n) {
      return [&c, root, n](thread_communicator& comm) {
        std::vector<float> x(n);
        workspace ws;
        ccomp::broadcast({1}, comm, c, x, root, ws);
      };
    };
    auto gather = [&](std::size_t n) {
      return [&c, w, n](thread_communicator& comm) {
        std::vector<float> x(n), full(w * n);
        workspace ws;
        ccomp::allgather({1}, comm, c, x, full, ws);
      };
    };
    auto scatter = [&](std::size_t n, ccomp::reduction op) {
      return [&c, w, n, op](thread_communicator& comm) {
        std::vector<float> x(w * n), mine(n);
        workspace ws;
        ccomp::reduce_scatter({1}, comm, c, x, mine, ws, {.op = op});
      };
    };
    using ccomp::reduction;
    int const odd = ranks - 1;
    expect_mismatch(group, odd, reduce, broadcast(0, 600), "allreduce(", "broadcast(");
    expect_mismatch(group, odd, broadcast(0, 600), broadcast(1, 600), "root 0", "root 1");
    expect_mismatch(group, odd, broadcast(0, 600), broadcast(0, 601), "n = 600", "n = 601");
    expect_mismatch(group, odd, gather(600), reduce, "allgather(", "allreduce(");
    expect_mismatch(group, odd, gather(600), gather(599), "n = 600", "n = 599");
    expect_mismatch(group, odd, scatter(6, reduction::sum), scatter(7, reduction::sum), "sum",
                    "n = " + std::to_string(7 * w));
    expect_mismatch(group, odd, scatter(6, reduction::sum), scatter(6, reduction::mean), "sum", "mean");
    expect_mismatch(group, odd, scatter(6, reduction::sum), gather(6 * w), "reduce_scatter(", "allgather(");
  }
}
TEST_CASE("a chain known at run time and its typed twin are one compressor to the ranks") {
  thread_group group(2);
  auto out = support::gradients(2, 1000);
  auto const c = erase(ccomp::uniform_quantize<8>{});
  group.run([&](thread_communicator& comm) {
    workspace ws;
    if (comm.rank() == 0)
      ccomp::allreduce({1}, comm, c, out[0], ws);
    else
      ccomp::allreduce({2}, comm, ccomp::uniform_quantize<8>{}, out[1], ws);
  });
  CHECK(support::all_same(out));
}
