// What a refused call leaves as it was, and ranks that are at different steps.
#include <support/nccl/nccl_checks.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <latch>
#include <thread>

using namespace ccomp;
using support::all_well;
using support::has;
using support::on_gpu;
using support::on_ranks;

namespace {

/// What the ranks' workspaces report when each calls allreduce at a step of its own.
template <class C> std::vector<std::string> reports_of_steps(C const& c) {
  std::vector<std::string> reports(2);
  all_well(on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(600, 1.0f));
    workspace<cuda_exec> ws{ex};
    allreduce(ex, comm, c, std::span(x.data(), x.size()), ws, {.at = 4 + comm.rank()});
    try {
      ws.check();
    } catch (rank_mismatch const& e) {
      reports[static_cast<std::size_t>(comm.rank())] = e.what();
    }
  }));
  return reports;
}

}  // namespace

TEST_CASE("cuda refusals: what is drawn by step is not summed in flight at two steps") {
  support::watchdog const guard("cuda steps in flight");
  for (auto const& reports :
       {reports_of_steps(random_k{.ratio = 0.1}), reports_of_steps(hadamard_rotate{} | cast<bfloat16>{})}) {
    has(reports[0], "rank 1 sent bytes of another call");
    has(reports[0], "step 5; here");
    has(reports[1], "rank 0 sent bytes of another call");
  }
  CHECK(reports_of_steps(cast<bfloat16>{})[0].empty());  // nothing in it depends on the step
}

TEST_CASE("cuda refusals: a rank's short last chunk may need more scratch than a whole one") {
  support::watchdog const guard("cuda short chunk", std::chrono::seconds(120));
  std::size_t const n = 81919;
  auto const values = support::same_gaussian_values(n, 3);
  all_well(on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(values);
    workspace<cuda_exec> ws{ex};
    error_feedback ef{top_k{.count = 5}, n, ex};
    allreduce(ex, comm, ef, std::span(x.data(), n), ws, {}, two_shot{});
    comm.wait(ex, std::chrono::seconds(60));
    ws.check();
  }));
}

TEST_CASE("cuda refusals: nothing is queued, and the residual stays what it was") {
  support::watchdog const guard("cuda refused calls");
  all_well(on_ranks(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    std::size_t const n = 600;
    std::vector<float> const values(n, 0.3f);
    on_gpu<float> const x(values);
    on_gpu<std::byte> const small(64);
    error_feedback ef{uniform_quantize<2>{}, n, ex, {.transactional = true}};
    workspace<cuda_exec> ws{ex}, lent{ex, small.bytes()}, fresh{ex};
    std::span const tensor(x.data(), n);
    allreduce(ex, comm, ef, tensor, ws, {.at = 1}, gather{});
    comm.wait(ex, std::chrono::seconds(60));
    auto const after_first = ef.residual_copy();
    auto const sum = x.peek();
    std::size_t const launches = cudart_sim::count().launches;

    auto const refused = [&](workspace<cuda_exec>& with, char const* text) {
      CHECK_THROWS_WITH_AS(allreduce(ex, comm, ef, tensor, with, {.at = 2}, gather{}), doctest::Contains(text),
                           invalid_argument);
      CHECK(ef.valid());
    };
    refused(lent, "allreduce: the lent buffer has 64 bytes and the call needs ");
    error_feedback sparse{threshold{.value = 0.1f, .capacity_ratio = 0.5} | top_k{.ratio = 0.1}, n, ex};
    CHECK_THROWS_WITH_AS(allreduce(ex, comm, sparse, tensor, ws, {}, gather{}), doctest::Contains("host only"),
                         invalid_argument);
    CHECK(sparse.valid());
    std::uint64_t const on_host = 3;
    CHECK_THROWS_WITH_AS(allreduce(ex, comm, ef, tensor, ws, {.at = step::from_device(&on_host)}, gather{}),
                         doctest::Contains("allreduce: the step must be device memory"), invalid_argument);
    CHECK(fresh.status() != nullptr);
    REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    refused(fresh, "allreduce: the stream records a graph, the workspace has 0 bytes and the call needs ");
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);

    CHECK(cudart_sim::count().launches == launches);
    CHECK(x.peek() == sum);
    CHECK(ef.residual_copy() == after_first);
    ef.discard();  // a refused call was the last one, and has changed nothing
    CHECK(ef.residual_copy() == after_first);
  }));
}

TEST_CASE("cuda refusals: a group that could not be made whole is given up whole") {
  support::clean_sim const sim;
  int const devices[] = {0, 1, 2};
  nccl_sim::fail_next("ncclCommCuDevice", ncclSystemError);
  CHECK_THROWS_AS(static_cast<void>(nccl_communicator::init_all(devices)), nccl_error);
  CHECK(nccl_sim::communicators() == 0);
}

TEST_CASE("cuda refusals: a communicator that another thread uses, by each of its calls; it may be looked at") {
  all_well(on_ranks(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(8, 1.0f)), y(std::vector<float>(8, 0.0f));
    auto const from = x.bytes(), to = y.bytes();
    std::string (*const describe)(void const*) = [](void const*) { return std::string("a call"); };
    std::vector<std::function<void()>> const calls = {
        [&] { comm.all_gather(ex, from, to); },
        [&] { comm.all_to_all(ex, from, to); },
        [&] { comm.all_reduce(ex, y.data(), 8, wire_type::float32, wire_op::sum); },
        [&] { comm.reduce_scatter(ex, x.data(), y.data(), 8, wire_type::float32, wire_op::sum); },
        [&] { comm.broadcast(ex, to, 0); },
        [&] { comm.send(ex, from, 0); },
        [&] { comm.receive(ex, to, 0); },
        [&] { comm.agree(1, nullptr, describe); },
        [&] { comm.agree(ex, 1, nullptr, describe); },
        [&] { comm.prepare(1, nullptr, describe); }};
    std::latch used(1), done(1);
    std::jthread const other([&] {
      detail::exclusive_use const use(comm.usage(), "a call", "nccl_communicator");
      used.count_down();
      done.wait();
    });
    used.wait();
    for (auto const& call : calls) try {
        call();
        FAIL_CHECK("not refused");
      } catch (invalid_argument const& e) {
        has(e.what(), "another thread is using this nccl_communicator at the same time");
      }
    comm.check();
    comm.wait(ex, std::chrono::seconds(10));
    done.count_down();
  }));
}
