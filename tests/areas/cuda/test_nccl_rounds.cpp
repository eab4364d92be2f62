// Stages with rounds of their own over the stand-ins for NCCL and cuBLAS: what is queued, what is not done, graphs.
#include <sim/cublas/cublas_sim.hpp>
#include <support/cuda/exec_steps.hpp>
#include <support/nccl/nccl_checks.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/quantize/shared_scale.cuh>

#include <doctest/doctest.h>

using namespace ccomp;
using support::same_bits;

namespace {

std::size_t constexpr rounds_length = 40 * 50 - 5;

/// A rank's tensor with its wrapper, and steps of them.
template <class C> struct stepped {
  nccl_communicator& comm;
  cuda_exec ex;
  workspace<cuda_exec> ws{ex};
  error_feedback<C, cuda_exec> wrapper;
  support::on_gpu<float> x{rounds_length};

  stepped(C const& c, nccl_communicator& m, cuda_exec const& e) : comm(m), ex(e), wrapper(c, rounds_length, e) {}
  void fill(std::vector<float> const& values) const {
    REQUIRE(cudaMemcpy(x.data(), values.data(), rounds_length * sizeof(float), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  void queue(step at) { allreduce(ex, comm, wrapper, std::span(x.data(), rounds_length), ws, {.at = at}); }
  void wait() { comm.wait(ex, std::chrono::seconds(60)); }
};

void each_rank(int ranks, support::rank_function const& f) { support::all_well(support::on_ranks(ranks, f)); }

/// One step queued, then the same captured and replayed twice; and three steps queued.
template <class C> void check_graph(C const& c) {
  auto const in = support::gradients(2, rounds_length);
  support::per_rank<float> out[2] = {in, in};
  support::per_rank<std::byte> saved[2] = {{{}, {}}, {{}, {}}};
  for (std::size_t const by_graph : {0u, 1u})
    each_rank(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
      auto const r = static_cast<std::size_t>(comm.rank());
      stepped<C> one(c, comm, ex);
      // A step may come again and again only from device memory.
      support::on_gpu<std::uint64_t> const counter(std::vector<std::uint64_t>{3});
      auto const three = step::from_device(counter.data());
      one.fill(in[r]);
      one.queue(three);
      one.wait();
      cudaGraphExec_t exec = nullptr;
      if (by_graph) {
        REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
        one.queue(three);
        cudaGraph_t graph = nullptr;
        REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
        REQUIRE(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
        CHECK(cudaGraphDestroy(graph) == cudaSuccess);
      }
      for (int i = 0; i < 2; ++i) {
        one.fill(in[r]);
        if (by_graph)
          REQUIRE(cudaGraphLaunch(exec, ex.stream()) == cudaSuccess);
        else
          one.queue(three);
        one.wait();
      }
      if (by_graph) CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
      out[by_graph][r] = one.x.peek();
      saved[by_graph][r] = one.wrapper.save();
    });
  CHECK(same_bits(out[0], out[1]));
  CHECK(same_bits(saved[0], saved[1]));
  CHECK(support::all_same(out[0]));
  CHECK(!same_bits(out[0], in));
}

/// The second call launches so many kernels, allocates nothing, and waits for nothing.
template <class C> void check_queued(C const& c, std::size_t kernels) {
  each_rank(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    auto const in = support::gradients(1, rounds_length);
    stepped<C> one(c, comm, ex);
    one.fill(in[0]);
    one.queue(1);
    CHECK(one.x.peek() == in[0]);  // nothing has happened yet
    one.wait();
    auto const before = cudart_sim::count();
    int const handles = cublas_sim::handles();
    one.queue(2);
    auto const after = cudart_sim::count();
    CHECK(after.launches == before.launches + kernels);
    CHECK(after.host_syncs == before.host_syncs);
    CHECK(after.allocations == before.allocations);
    CHECK(cublas_sim::handles() == handles);
    one.wait();
  });
}

constexpr power_sgd low_rank{.rank = 2, .rows = 40};
constexpr shared_scale_quantize<8> shared{.block = 64, .round = rounding::stochastic};

}  // namespace

TEST_CASE("cuda rounds: a graph repeats what was queued") {
  support::watchdog const guard("cuda rounds: graph");
  check_graph(low_rank);
  check_graph(shared);
}

TEST_CASE("cuda rounds: few kernels, no allocation, nothing waits") {
  check_queued(shared, 3);
  check_queued(low_rank, 7 + 2);  // the two compare the steps of the ranks
}

TEST_CASE("cuda rounds: three ranks over NCCL give what three threads give") {
  auto const in = support::gradients(3, rounds_length);
  support::per_rank<float> out(3);
  each_rank(3, [&](nccl_communicator& comm, cuda_exec const& ex) {
    auto const r = static_cast<std::size_t>(comm.rank());
    stepped<shared_scale_quantize<8>> one(shared, comm, ex);
    one.fill(in[r]);
    one.queue(3);
    one.wait();
    out[r] = one.x.peek();
  });
  cudart_sim::set_device_count(1);
  CHECK(same_bits(out, support::on_gpu_ranks<float>(shared, rounds_length, 3, 1, support::constantly(in)).out));
}

TEST_CASE("cuda rounds: errors of cuBLAS, and a first call while the stream records") {
  each_rank(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    support::on_gpu<float> const x(support::gradients(1, rounds_length)[0]);
    workspace<cuda_exec> ws{ex};
    auto const call = [&] { allreduce(ex, comm, low_rank, std::span(x.data(), rounds_length), ws, {.at = 0}); };
    REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK_THROWS_WITH_AS(call(), doctest::Contains("records a graph"), invalid_argument);
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    cublas_sim::fail_next("cublasSgemm", CUBLAS_STATUS_EXECUTION_FAILED);
    CHECK_THROWS_WITH_AS(call(), doctest::Contains("cublasSgemm: "), cuda_error);
    comm.wait(ex, std::chrono::seconds(60));
  });
}
