// The same calls on a thread_group of this process give the bits that the ranks must have.
#include "world.hpp"

#include <support/ranks.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/error_feedback.hpp>

#include <doctest/doctest.h>

#include <numeric>

namespace {

using support::how;

/// A small length for 8 ranks, else more than a chunk.
std::size_t length() { return world()->size() > 4 ? 1500 : 70001; }

/// What rank `me` of a thread_group gets by f(comm, its tensor), and what this rank gets from it over MPI, in whole tensors
/// and in many slices.
template <class F> void expect_same(std::size_t n, F const& f) {
  auto& comm = *world();
  auto const me = static_cast<std::size_t>(comm.rank());
  auto const in = support::gradients(comm.size(), n);
  auto want = in;
  ccomp::thread_group(comm.size()).run([&](ccomp::thread_communicator& ranks) {
    f(ranks, want[static_cast<std::size_t>(ranks.rank())]);
  });
  for (std::size_t const slice : {std::size_t{0}, std::size_t{1500}}) {
    CAPTURE(slice);
    ccomp::mpi_communicator sliced(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(20), .slice_bytes = slice});
    auto got = in[me];
    f(sliced, got);
    CHECK(support::same_bits(got, want[me]));
  }
}

}  // namespace

TEST_CASE("allreduce over MPI has the bits of a thread_group") {
  using namespace std::literals;
  for (auto const& one : {std::pair{"uniform_quantize<8>"sv, how::two_shot},
                          {"uniform_quantize<4>"sv, how::gather},
                          {"qsgd<8>"sv, how::two_shot},
                          {"sign_quantize"sv, how::automatic},
                          {"cast<bfloat16>"sv, how::in_flight},
                          {"cast<float16>"sv, how::two_shot},
                          {"hadamard_rotate | shared_scale_quantize<8>"sv, how::in_flight},
                          {"top_k(0.01) | uniform_quantize<8>"sv, how::gather},
                          {"top_k(0.01)"sv, how::two_shot},
                          {"random_k(0.05)"sv, how::automatic},
                          {"threshold(0.5)"sv, how::gather}}) {
    auto const text = one.first;
    CAPTURE(text);
    ccomp::any_compressor const c(text);
    expect_same(length(), [&](auto& comm, std::vector<float>& x) {
      ccomp::workspace<ccomp::host_exec> ws;
      support::allreduce_by(one.second, {1}, comm, c, x, ws, {.at = 3});
    });
  }
}

TEST_CASE("error feedback and all other collectives have these bits, too") {
  ccomp::any_compressor const c("uniform_quantize<4>");
  std::size_t const n = length() / 7 * static_cast<std::size_t>(world()->size());
  expect_same(n, [&](auto& comm, std::vector<float>& x) {
    ccomp::workspace<ccomp::host_exec> ws;
    ccomp::error_feedback ef{c, x.size()};
    for (int step = 0; step < 3; ++step) ccomp::allreduce({1}, comm, ef, x, ws, {}, ccomp::two_shot{});
    std::vector<float> chunk(x.size() / static_cast<std::size_t>(comm.size()));
    ccomp::reduce_scatter({1}, comm, c, x, chunk, ws);
    ccomp::allgather({1}, comm, c, chunk, x, ws);
    ccomp::broadcast({1}, comm, c, x, comm.size() - 1, ws);
    ccomp::allreduce({1}, comm, ef, x, ws, {}, ccomp::gather{});
  });
}

TEST_CASE("calls with a root, chunks for all, shards of all sizes, and pairs have these bits, too") {
  auto const ranks = static_cast<std::size_t>(world()->size());
  std::size_t const n = length() / 7, most = n * ranks;
  for (auto const* const text : {"uniform_quantize<4>(round=stochastic)", "hadamard_rotate | top_k(0.1)"}) {
    ccomp::any_compressor const c(text);
    expect_same(most, [&](auto& comm, std::vector<float>& x) {
      ccomp::workspace<ccomp::host_exec> ws;
      ccomp::host_exec const ex{1};
      auto const me = static_cast<std::size_t>(comm.rank());
      int const last = comm.size() - 1;
      std::vector<float> y(most), chunk(n);
      std::vector<std::size_t> counts(ranks);
      for (std::size_t r = 1; r < ranks; ++r) counts[r] = (r - 1) * n / ranks;  // ranks 0 and 1 have none
      std::size_t const total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
      ccomp::error_feedback ef{c, most};
      for (std::uint64_t step = 0; step < 2; ++step) {
        ccomp::all_to_all(ex, comm, ef, x, y, ws, {.at = step});
        ccomp::scatter_from(ex, comm, c, y, chunk, last, ws, {.at = step});
        ccomp::gather_to(ex, comm, c, chunk, x, 0, ws, {.at = step});
        ccomp::reduce_to(ex, comm, c, x, y, last, ws, {.at = step});
        ccomp::allgatherv(ex, comm, c, std::span(y.data(), counts[me]), std::span(x.data(), total), counts, ws,
                          {.at = step});
        if (comm.rank() > 0) ccomp::receive(ex, comm, c, y, comm.rank() - 1, ws, {.at = step});
        if (comm.rank() < last) ccomp::send(ex, comm, c, x, comm.rank() + 1, ws, {.at = step});
        for (std::size_t i = 0; i < most; ++i) x[i] += 0.5f * y[i];
      }
      auto sub = comm.split(comm.rank() % 2, -comm.rank());
      ccomp::reduce_to(ex, *sub, c, x, x, sub->size() - 1, ws, {.at = 5});
    });
  }
}

TEST_CASE("a receiver that expects another call is told by the header, and may go on") {
  auto& comm = *world();
  if (comm.size() < 2 || comm.rank() > 1) return;
  ccomp::any_compressor const c("uniform_quantize<8>");
  ccomp::workspace<ccomp::host_exec> ws;
  std::vector<float> x(100, 1.0f);
  if (comm.rank() == 0)
    ccomp::send({1}, comm, c, x, 1, ws, {.tensor = 1});
  else
    CHECK_THROWS_WITH_AS(ccomp::receive({1}, comm, c, x, 0, ws, {.tensor = 2}),
                         doctest::Contains("rank 0 sent bytes of another call"), ccomp::rank_mismatch);
  CHECK(x == std::vector<float>(100, 1.0f));
  if (comm.rank() == 0)
    ccomp::send({1}, comm, c, x, 1, ws);
  else
    ccomp::receive({1}, comm, c, x, 0, ws);
}

TEST_CASE("a ring, and many tensors of all lengths, in slices") {
  for (auto const* const text : {"uniform_quantize<8>", "natural", "top_k(0.05)", "hadamard_rotate | sign_quantize"}) {
    ccomp::any_compressor const c(text);
    expect_same(length(), [&](auto& comm, std::vector<float>& x) {
      ccomp::workspace<ccomp::host_exec> ws;
      std::span<float> const all(x);
      std::vector<ccomp::tensor_view> parts;
      for (std::size_t at = 0, n = 1; at < all.size(); at += n, n = 3 * n + 1)
        parts.emplace_back(all.subspan(at, std::min(n, all.size() - at)), at);
      ccomp::error_feedback_set feedback{c};
      for (int step = 0; step < 2; ++step) {
        ccomp::allreduce({1}, comm, feedback, parts, ws, {}, ccomp::ring{});
        ccomp::allreduce({1}, comm, feedback, parts, ws, {}, ccomp::two_shot{});
        ccomp::allreduce({1}, comm, feedback, parts, ws, {}, ccomp::gather{});
      }
    });
  }
}

TEST_CASE("slices send what whole tensors send, and a header more each") {
  auto& comm = *world();
  auto const ranks = static_cast<std::size_t>(comm.size());
  std::size_t const n = 4096 * ranks;
  ccomp::uniform_quantize<8> const c{};
  std::vector<float> x(n, 1.0f);
  std::size_t sent[2] = {};
  for (std::size_t const slice : {0u, 2100u}) {  // a piece of 2048 values: 2048 codes and four scales
    ccomp::mpi_communicator sliced(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(20), .slice_bytes = slice});
    ccomp::workspace<ccomp::host_exec> ws;
    sent[slice > 0] = ccomp::allreduce({1}, sliced, c, x, ws, {}, ccomp::two_shot{}).bytes_sent;
    CHECK(ws.size() > 0);
  }
  CHECK(sent[1] - sent[0] == 2 * (ranks - 1) * 32);
}

TEST_CASE("empty tensors, and one value") {
  for (std::size_t const n : {0u, 1u})
    for (auto const* const text : {"uniform_quantize<8>", "top_k(0.01)", "cast<bfloat16>"}) {
      ccomp::any_compressor const c(text);
      expect_same(n, [&](auto& comm, std::vector<float>& x) {
        ccomp::workspace<ccomp::host_exec> ws;
        ccomp::allreduce({1}, comm, c, x, ws);
      });
    }
}

TEST_CASE("ranks that make different calls are told on every rank, and may go on") {
  auto& comm = *world();
  if (comm.size() < 2) return;
  ccomp::any_compressor const c("uniform_quantize<8>");
  ccomp::workspace<ccomp::host_exec> ws;
  bool const last = comm.rank() == comm.size() - 1;
  std::vector<float> x(last ? 101 : 100, 1.0f);
  ccomp::error_feedback ef{c, x.size()};
  CHECK_THROWS_WITH_AS(ccomp::allreduce({1}, comm, ef, x, ws), doctest::Contains("n = 101"), ccomp::rank_mismatch);
  CHECK(x == std::vector<float>(x.size(), 1.0f));
  x.resize(100);
  ccomp::allreduce({1}, comm, c, x, ws);
  CHECK(std::ranges::all_of(x, [](float v) { return std::abs(v - 1) < 0.01f; }));
}
