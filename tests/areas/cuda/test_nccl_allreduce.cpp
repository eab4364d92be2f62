// allreduce on (simulated) GPUs over (simulated) NCCL gives the bits of the host's, on every rank.
#include <support/nccl/nccl_checks.hpp>
#include <support/ranks.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::per_rank;
using support::same_bits;

namespace {

constexpr allreduce_options mean_at_7{.op = reduction::mean, .at = 7, .tensor = 9};

template <class T> per_rank<T> rank_inputs(int ranks, std::size_t n) {
  per_rank<T> all;
  for (int r = 0; r < ranks; ++r)
    all.push_back(support::narrowed<T>(support::same_gaussian_values(n, 50 + static_cast<std::uint64_t>(r))));
  return all;
}

template <class C, class T, class Strategy>
per_rank<T> reduced_on_host(C const& c, per_rank<T> all, allreduce_options const& o, Strategy strategy) {
  thread_group group(static_cast<int>(all.size()));
  group.run([&](thread_communicator& comm) {
    workspace<host_exec> ws{{1}};
    allreduce(host_exec{1}, comm, c, std::span(all[static_cast<std::size_t>(comm.rank())]), ws, o, strategy);
  });
  return all;
}

template <class C, class T, class Strategy>
per_rank<T> on_gpus(C const& c, per_rank<T> all, allreduce_options const& o, Strategy strategy) {
  auto const thrown =
      support::on_ranks(static_cast<int>(all.size()), [&](nccl_communicator& comm, cuda_exec const& ex) {
        auto& mine = all[static_cast<std::size_t>(comm.rank())];
        support::on_gpu<T> const x(mine);
        workspace<cuda_exec> ws{ex};
        auto const report = allreduce(ex, comm, c, std::span(x.data(), x.size()), ws, o, strategy);
        CHECK(x.peek() == mine);  // nothing has happened yet
        comm.wait(ex, std::chrono::seconds(60));
        mine = x.peek();
        CHECK(report.bytes_sent > 0);
      });
  support::all_well(thrown);
  return all;
}

template <class T, class C> void check_allreduce(C const& c, int ranks, std::size_t n) {
  CAPTURE(ranks);
  CAPTURE(n);
  auto const all = rank_inputs<T>(ranks, n);
  CHECK(same_bits(on_gpus(c, all, mean_at_7, gather{}), reduced_on_host(c, all, mean_at_7, gather{})));
  CHECK(same_bits(on_gpus(c, all, {.op = reduction::sum, .at = 3}, two_shot{}),
                  reduced_on_host(c, all, {.op = reduction::sum, .at = 3}, two_shot{})));
}

}  // namespace

TEST_CASE("cuda allreduce: gather and two_shot give the host's bits") {
  support::watchdog const guard("cuda allreduce", std::chrono::seconds(240));
  for (int const ranks : {2, 3, 4})
    for (std::size_t const n : {1u, 700u, 5000u}) {
      check_allreduce<float>(uniform_quantize<8>{.round = rounding::stochastic}, ranks, n);
      check_allreduce<float>(hadamard_rotate{} | uniform_quantize<4>{}, ranks, n);
    }
  check_allreduce<float>(sign_quantize{.block = 4096}, 4, 17000);
  check_allreduce<bfloat16>(uniform_quantize<3>{.range = code_range::min_max}, 3, 3001);
  check_allreduce<float16>(hadamard_rotate{.block = 64} | cast<fp8_e4m3>{}, 2, 999);
}

TEST_CASE("cuda allreduce: in flight") {
  support::watchdog const guard("cuda allreduce in flight", std::chrono::seconds(240));
  // Two ranks: one addition, which every transport rounds alike.
  auto const all = rank_inputs<float>(2, 3000);
  CHECK(same_bits(on_gpus(cast<bfloat16>{}, all, mean_at_7, in_flight{}),
                  reduced_on_host(cast<bfloat16>{}, all, mean_at_7, in_flight{})));
  CHECK(same_bits(on_gpus(cast<float16>{}, all, mean_at_7, automatic{}),
                  reduced_on_host(cast<float16>{}, all, mean_at_7, automatic{})));
  // Sums near the largest float16 do not overflow on their way.
  per_rank<float> const large(4, std::vector<float>(300, 60000.0f));
  auto const means = on_gpus(cast<float16>{}, large, mean_at_7, in_flight{});
  for (auto const& row : means)
    for (float const v : row) REQUIRE(v == 60000.0f);
}

TEST_CASE("cuda allreduce: sparsifiers give the host's bits") {
  support::watchdog const guard("cuda allreduce, sparse", std::chrono::seconds(240));
  check_allreduce<float>(top_k{.ratio = 0.05} | natural{}, 3, 9000);
  check_allreduce<float16>(top_k{.ratio = 0.1}, 4, 1300);  // the last rank's chunk is short
  check_allreduce<bfloat16>(hadamard_rotate{.block = 256} | threshold{.relative = 1, .capacity_ratio = 0.4}, 3, 3001);
  auto const all = rank_inputs<float>(2, 3000);
  random_k const drawn{.ratio = 0.1, .unbiased = true};
  CHECK(same_bits(on_gpus(drawn, all, mean_at_7, in_flight{}), reduced_on_host(drawn, all, mean_at_7, in_flight{})));
  per_rank<float16> const large(4, std::vector<float16>(300, float16(60000.0f)));
  auto const means = on_gpus(random_block{.ratio = 1}, large, mean_at_7, in_flight{});
  for (auto const& row : means)
    for (float16 const v : row) REQUIRE(v == float16(60000.0f));
}

TEST_CASE("cuda allreduce: automatic sends fewer bytes, as on the host") {
  auto const all = rank_inputs<float>(4, 4000);
  uniform_quantize<8> const c;
  CHECK(same_bits(on_gpus(c, all, mean_at_7, automatic{}), reduced_on_host(c, all, mean_at_7, automatic{})));
}

TEST_CASE("cuda allreduce: ranks that disagree learn of it, each") {
  support::watchdog const guard("cuda disagreement");
  auto const thrown = support::on_ranks(3, [&](nccl_communicator& comm, cuda_exec const& ex) {
    support::on_gpu<float> const x(std::vector<float>(600, 1.0f));
    workspace<cuda_exec> ws{ex};
    std::size_t const n = comm.rank() == 1 ? 599 : 600;
    allreduce(ex, comm, uniform_quantize<8>{}, std::span(x.data(), n), ws);
  });
  for (auto const& e : thrown) {
    auto const said = support::text_of(e);
    CAPTURE(said);
    CHECK(said.starts_with("rank_mismatch"));
    CHECK(said.find("n = 599") != std::string::npos);
    CHECK(said.find("n = 600") != std::string::npos);
  }
}

TEST_CASE("cuda allreduce: calls of one size share a workspace that no longer grows") {
  support::watchdog const guard("cuda allreduce twice");
  std::vector<std::vector<float>> results(2);
  auto const thrown = support::on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    std::vector<float> const ones(1000, comm.rank() == 0 ? 127.0f : -127.0f / 127);
    support::on_gpu<float> const x(ones);
    workspace<cuda_exec> ws{ex};
    uniform_quantize<8> const c;
    allreduce(ex, comm, c, std::span(x.data(), x.size()), ws, {.op = reduction::sum}, gather{});
    comm.wait(ex, std::chrono::seconds(60));
    std::size_t const held = ws.size();
    allreduce(ex, comm, c, std::span(x.data(), x.size()), ws, {.op = reduction::sum}, gather{});
    CHECK(ws.size() == held);
    comm.wait(ex, std::chrono::seconds(60));
    results[static_cast<std::size_t>(comm.rank())] = x.peek();
  });
  support::all_well(thrown);
  CHECK(results[0] == results[1]);
  CHECK(results[0][0] == doctest::Approx(252).epsilon(0.01));
}

TEST_CASE("cuda allreduce: a workspace too small is refused while the stream records") {
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  workspace<cuda_exec> ws{ex};
  REQUIRE(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK_THROWS_WITH_AS(static_cast<void>(ws.reserve(1000)), doctest::Contains("records a graph"), invalid_argument);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(ws.reserve(1000).size() >= 1000);
  ex.synchronize();
}
