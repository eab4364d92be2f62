// The other collectives, error feedback and calls on several tensors on (simulated) GPUs give the host's bits.
#include <support/cuda/recorded_graph.hpp>
#include <support/nccl/nccl_checks.hpp>
#include <support/ranks.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/shared_scale.cuh>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <numeric>

using namespace ccomp;
using support::on_gpu;
using support::per_rank;
using support::same_bits;

namespace {

per_rank<float> seeded_inputs(int ranks, std::size_t n, std::uint64_t seed = 50) {
  per_rank<float> all;
  for (int r = 0; r < ranks; ++r) all.push_back(support::same_gaussian_values(n, seed + static_cast<std::uint64_t>(r)));
  return all;
}
std::size_t index_of(auto const& comm) { return static_cast<std::size_t>(comm.rank()); }

/// `f(exec, communicator, tensor of this rank, output of `out` values, workspace)` on every rank, on the host and on
/// GPUs; both outputs and what became of the tensors must be the same.
template <class F> void check_on_both(per_rank<float> const& in, std::size_t out, F const& f) {
  auto const ranks = static_cast<int>(in.size());
  per_rank<float> host_in = in, host_out(in.size(), std::vector<float>(out));
  per_rank<float> gpu_in = in, gpu_out = host_out;
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    host_exec const ex{1};
    workspace<host_exec> ws{ex};
    f(ex, comm, std::span(host_in[index_of(comm)]), std::span(host_out[index_of(comm)]), ws);
  });
  auto const thrown = support::on_ranks(ranks, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(gpu_in[index_of(comm)]), y(gpu_out[index_of(comm)]);
    workspace<cuda_exec> ws{ex};
    f(ex, comm, std::span(x.data(), x.size()), std::span(y.data(), y.size()), ws);
    comm.wait(ex, std::chrono::seconds(60));
    ws.check();
    gpu_in[index_of(comm)] = x.peek();
    gpu_out[index_of(comm)] = y.peek();
  });
  support::all_well(thrown);
  CHECK(same_bits(gpu_in, host_in));
  CHECK(same_bits(gpu_out, host_out));
}

/// A residual on the device must outlive the calls.
template <class Exec, class Comm> void comm_settles(Exec const& ex, Comm& comm) {
  if constexpr (std::same_as<Exec, cuda_exec>) comm.wait(ex, std::chrono::seconds(60));
}

auto const rotated = hadamard_rotate{} | uniform_quantize<4>{.round = rounding::stochastic};

}  // namespace

TEST_CASE("cuda collectives: allgather, reduce_scatter and broadcast") {
  support::watchdog const guard("cuda collectives", std::chrono::seconds(240));
  for (int const ranks : {1, 3, 4})
    for (std::size_t const n : {0u, 1u, 777u, 5000u}) {
      CAPTURE(ranks);
      CAPTURE(n);
      auto const w = static_cast<std::size_t>(ranks);
      check_on_both(seeded_inputs(ranks, n), w * n, [&](auto const& ex, auto& comm, auto shard, auto full, auto& ws) {
        allgather(ex, comm, rotated, shard, full, ws, {.at = 3, .tensor = 4});
      });
      check_on_both(seeded_inputs(ranks, w * n), n, [&](auto const& ex, auto& comm, auto input, auto chunk, auto& ws) {
        reduce_scatter(ex, comm, rotated, input, chunk, ws, {.op = reduction::mean, .at = 5});
      });
      check_on_both(seeded_inputs(ranks, n), 0, [&](auto const& ex, auto& comm, auto data, auto, auto& ws) {
        broadcast(ex, comm, rotated, data, comm.size() - 1, ws, {.at = 9});
      });
    }
}

TEST_CASE("cuda collectives: with a root, chunks for all, shards of all sizes, and pairs") {
  support::watchdog const guard("cuda operations", std::chrono::seconds(240));
  auto const check = [](auto const& c, std::size_t n) {
    for (int const ranks : {1, 3}) {
      CAPTURE(n);
      auto const w = static_cast<std::size_t>(ranks);
      std::vector<std::size_t> counts(w);
      for (std::size_t r = 1; r < w; ++r) counts[r] = (r - 1) * n + 1;  // rank 0 has none
      std::size_t const total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
      check_on_both(seeded_inputs(ranks, w * n), 5 * w * n + total,
                    [&](auto const& ex, auto& comm, auto data, auto out, auto& ws) {
                      int const last = comm.size() - 1;
                      auto const take = [&](std::size_t count) {
                        auto const here = out.first(count);
                        out = out.subspan(count);
                        return here;
                      };
                      error_feedback ef{c, data.size(), ex, {.id = 6}};
                      for (std::uint64_t t = 0; t < 2; ++t) all_to_all(ex, comm, ef, data, data, ws, {.at = t});
                      auto const chunk = take(w * n).first(n);
                      scatter_from(ex, comm, c, data, chunk, last, ws, {.at = 2});
                      gather_to(ex, comm, c, chunk, take(w * n), 0, ws, {.at = 3});
                      reduce_to(ex, comm, ef, data, take(w * n), last, ws, {.at = 4});
                      allgatherv(ex, comm, c, data.first(counts[index_of(comm)]), take(total), counts, ws, {.at = 5});
                      auto const passed = take(w * n);
                      if (comm.rank() > 0) receive(ex, comm, c, passed, comm.rank() - 1, ws, {.at = 6});
                      if (comm.rank() < last) send(ex, comm, c, data, comm.rank() + 1, ws, {.at = 6});
                    });
    }
  };
  check(uniform_quantize<8>{}, 5000);
  check(rotated, 777);
  check(top_k{.ratio = 0.1} | uniform_quantize<8>{}, 777);
}

TEST_CASE("cuda collectives: error feedback keeps on the device what the host keeps") {
  support::watchdog const guard("cuda error feedback", std::chrono::seconds(240));
  for (auto const type : {element_type::float32, element_type::bfloat16}) {
    per_rank<float> host_left(3), gpu_left(3);
    auto const steps = [&](auto const& ex, auto& comm, auto data, auto, auto& ws, auto strategy, auto& left) {
      error_feedback ef{uniform_quantize<2>{}, data.size(), ex, {.id = 6, .residual = type, .decay = 0.5f}};
      for (std::uint64_t t = 0; t < 3; ++t) allreduce(ex, comm, ef, data, ws, {.at = t}, strategy);
      ef.scale(0.25f);
      allreduce(ex, comm, ef, data, ws, {.at = 3}, strategy);
      if constexpr (requires { comm.wait(ex, std::chrono::seconds(60)); }) comm.wait(ex, std::chrono::seconds(60));
      left[index_of(comm)] = ef.residual_copy();
    };
    auto const check = [&](auto strategy) {
      check_on_both(seeded_inputs(3, 2500), 0, [&](auto const& ex, auto& comm, auto data, auto out, auto& ws) {
        bool constexpr host = std::same_as<std::remove_cvref_t<decltype(ex)>, host_exec>;
        steps(ex, comm, data, out, ws, strategy, host ? host_left : gpu_left);
      });
      CHECK(same_bits(gpu_left, host_left));
    };
    check(gather{});
    check(two_shot{});
  }
}

TEST_CASE("cuda collectives: a stage that brings its own rounds") {
  support::watchdog const guard("cuda rounds", std::chrono::seconds(120));
  check_on_both(seeded_inputs(3, 3001), 0, [&](auto const& ex, auto& comm, auto data, auto, auto& ws) {
    error_feedback ef{hadamard_rotate{.block = 128} | shared_scale_quantize<4>{}, data.size(), ex, {.id = 6}};
    for (std::uint64_t t = 0; t < 2; ++t) CHECK(allreduce(ex, comm, ef, data, ws, {.at = t}).strategy == "rounds");
    allreduce(ex, comm, ef, data, ws, {.at = 2}, in_flight{});
    allreduce(ex, comm, shared_scale_quantize<8>{}, data, ws, {.op = reduction::sum, .at = 3}, gather{});
  });
}

TEST_CASE("cuda collectives: sparsifiers") {
  support::watchdog const guard("cuda sparse collectives", std::chrono::seconds(240));
  auto const both = [](auto const& c, std::size_t n) {
    check_on_both(seeded_inputs(3, n), n, [&](auto const& ex, auto& comm, auto data, auto out, auto& ws) {
      error_feedback ef{c, data.size(), ex, {.id = 6}};
      allreduce(ex, comm, ef, data, ws, {.at = 1}, gather{});
      allreduce(ex, comm, ef, data, ws, {.at = 2}, two_shot{});
      allreduce(ex, comm, c, data, ws, {.at = 3});
      reduce_scatter(ex, comm, ef, data, out.first(data.size() / 3), ws, {.at = 4});
      broadcast(ex, comm, c, data, 1, ws, {.at = 5});
    });
  };
  both(top_k{.ratio = 0.02} | uniform_quantize<8>{}, 3000);
  both(top_k{.count = 40}, 9000);
  both(threshold{.relative = 1.5f, .capacity_ratio = 0.2} | uniform_quantize<4>{.block = 64}, 3000);
  both(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1} | cast<bfloat16>{}, 3000);
  // Two ranks: one addition, which every transport rounds alike.
  check_on_both(seeded_inputs(2, 3001), 0, [&](auto const& ex, auto& comm, auto data, auto, auto& ws) {
    CHECK(allreduce(ex, comm, random_k{.ratio = 0.3} | cast<float16>{}, data, ws, {.at = 3}).strategy == "in_flight");
  });
}

TEST_CASE("cuda collectives: several tensors in one call") {
  support::watchdog const guard("cuda several tensors", std::chrono::seconds(120));
  for (bool const by_two_shot : {false, true})
    check_on_both(seeded_inputs(3, 4000), 0, [&](auto const& ex, auto& comm, auto data, auto, auto& ws) {
      using exec = std::remove_cvref_t<decltype(ex)>;
      using compressor = uniform_quantize<8>;
      error_feedback_set<compressor, exec> set = [&] {
        if constexpr (std::same_as<exec, host_exec>)
          return error_feedback_set<compressor>(compressor{});
        else
          return error_feedback_set(compressor{}, ex);
      }();
      std::vector<tensor_view> const tensors{
          {data.first(1500), 1}, {data.subspan(1500, 1), 2}, {data.subspan(1501), 7}};
      for (std::uint64_t t = 0; t < 2; ++t)
        if (by_two_shot)
          allreduce(ex, comm, set, tensors, ws, {.at = t}, two_shot{});
        else
          allreduce(ex, comm, set, tensors, ws, {.at = t}, gather{});
      allreduce(ex, comm, cast<bfloat16>{}, std::span(tensors).first(1), ws);
    });
}

TEST_CASE("cuda collectives: wrappers save and load across engines, and discard") {
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  uniform_quantize<8> const c;
  std::size_t const n = 300;
  auto const x = support::same_gaussian_values(n, 4), before = support::same_gaussian_values(n, 5);
  error_feedback host{c, n, {}, {.id = 3, .transactional = true}};
  std::ranges::copy(before, host.residual().begin());
  auto const bytes = host.save();
  error_feedback gpu{c, n, ex, {.id = 3, .transactional = true}};
  gpu.load(bytes);
  CHECK(gpu.residual_copy() == before);
  CHECK(gpu.save() == bytes);

  on_gpu<float> const data(x);
  auto const job = gpu.jobs(std::vector{tensor_view(std::span(data.data(), n), 3)})[0];
  gpu.prepare();
  ex.fill_zero(job.residual.data, n * sizeof(float));  // what a call would do to it
  gpu.commit(0);
  CHECK(gpu.residual_copy() == std::vector<float>(n));
  gpu.discard();
  CHECK(gpu.residual_copy() == before);
  CHECK_THROWS_AS(gpu.discard(), invalid_argument);
  gpu.reset();
  CHECK(gpu.residual_copy() == std::vector<float>(n));
}

TEST_CASE("cuda collectives: scale is refused where a residual would become infinite, and changes nothing") {
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  for (auto const type : {element_type::float32, element_type::bfloat16}) {
    error_feedback host{uniform_quantize<2>{}, 301, {}, {.residual = type}};
    error_feedback gpu{uniform_quantize<2>{}, 301, ex, {.residual = type}};
    auto x = support::same_gaussian_values(301, 6);
    self_communicator alone;
    workspace<host_exec> ws;
    allreduce(host_exec{1}, alone, host, x, ws);
    gpu.load(host.save());
    for (float const factor : {0x1.fffffep127f, -0x1.fffffep127f}) {
      CHECK_THROWS_WITH_AS(gpu.scale(factor), doctest::Contains("would become infinite"), invalid_argument);
      CHECK_THROWS_AS(host.scale(factor), invalid_argument);
    }
    CHECK(gpu.save() == host.save());
    for (float const factor : {4.0f, -0.5f}) {
      host.scale(factor);
      gpu.scale(factor);
      CHECK(same_bits(gpu.residual_copy(), host.residual_copy()));
    }
  }
}

TEST_CASE("cuda collectives: what is recorded without a step is refused if it draws") {
  auto const thrown = support::on_ranks(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(600, 1.0f));
    workspace<cuda_exec> ws{ex};
    error_feedback ef{rotated, 600, ex};
    error_feedback none{uniform_quantize<8>{}, 600, ex};
    auto const data = std::span(x.data(), x.size());
    for (int i = 0; i < 2; ++i) allreduce(ex, comm, ef, data, ws, {}, gather{});  // counts by itself
    allreduce(ex, comm, none, data, ws, {}, gather{});
    REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK_THROWS_WITH_AS(allreduce(ex, comm, ef, data, ws, {}, gather{}), doctest::Contains("step::from_device"),
                         invalid_argument);
    allreduce(ex, comm, none, data, ws, {}, gather{});
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
    REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
    CHECK_THROWS_WITH_AS(allreduce(ex, comm, ef, data, ws, {.at = 1}, gather{}), doctest::Contains("is committed"),
                         invalid_argument);
    CHECK(ef.valid());
    comm.wait(ex, std::chrono::seconds(60));
  });
  support::all_well(thrown);
}

TEST_CASE("cuda collectives: what lies elsewhere is refused, and nothing is queued") {
  support::watchdog const guard("cuda host wrapper");
  auto const thrown = support::on_ranks(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(600, 1.0f));
    workspace<cuda_exec> ws{ex};
    error_feedback ef{uniform_quantize<8>{}, 600};
    std::size_t const launches = cudart_sim::count().launches;
    CHECK_THROWS_WITH_AS(allreduce(ex, comm, ef, std::span(x.data(), x.size()), ws),
                         doctest::Contains("the residual must be device memory"), invalid_argument);
    std::vector<float> host(600);
    CHECK_THROWS_WITH_AS(allgather(ex, comm, uniform_quantize<8>{}, std::span(x.data(), x.size()), host, ws),
                         doctest::Contains("the output must be device memory"), invalid_argument);
    REQUIRE(cudaSetDevice(1) == cudaSuccess);
    {
      cuda_exec const elsewhere;
      on_gpu<float> const y(std::vector<float>(600, 1.0f));
      workspace<cuda_exec> other{elsewhere};
      CHECK_THROWS_WITH_AS(allreduce(elsewhere, comm, uniform_quantize<8>{}, std::span(y.data(), y.size()), other),
                           doctest::Contains("the communicator belongs to device 0, the stream to device 1"),
                           invalid_argument);
    }
    REQUIRE(cudaSetDevice(0) == cudaSuccess);
    CHECK(cudart_sim::count().launches == launches);
    CHECK(ef.valid());
  });
  support::all_well(thrown);
}

namespace {

/// The first call prepares, the next ones are launches of a graph.
template <class C, class Strategy> void check_recorded(C const& c, Strategy strategy) {
  auto const in = seeded_inputs(2, 1500);
  per_rank<float> plain = in, replayed = in;
  thread_group group(2);
  group.run([&](thread_communicator& comm) {
    workspace<host_exec> ws{{1}};
    auto& mine = plain[index_of(comm)];
    error_feedback ef{c, mine.size()};
    for (std::uint64_t t = 0; t < 4; ++t) allreduce(host_exec{1}, comm, ef, mine, ws, {.at = t}, strategy);
  });
  auto const thrown = support::on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    auto& mine = replayed[index_of(comm)];
    on_gpu<float> const x(mine);
    on_gpu<std::uint64_t> const counter(std::vector<std::uint64_t>{0});
    workspace<cuda_exec> ws{ex};
    error_feedback ef{c, mine.size(), ex};
    allreduce_options const options{.at = step::from_device(counter.data())};
    auto const call = [&] { allreduce(ex, comm, ef, std::span(x.data(), x.size()), ws, options, strategy); };
    call();  // makes everything ready
    support::recorded_graph const graph(ex, call);
    for (std::uint64_t t = 1; t < 4; ++t) {
      comm.wait(ex, std::chrono::seconds(60));
      ex.copy_from_host(counter.data(), &t, sizeof t);
      graph.launch();
    }
    comm.wait(ex, std::chrono::seconds(60));
    ws.check();
    mine = x.peek();
  });
  support::all_well(thrown);
  CHECK(same_bits(replayed, plain));
}

}  // namespace

TEST_CASE("cuda collectives: a recorded allreduce repeats, with the bits of the step that the device counts") {
  support::watchdog const guard("cuda recorded allreduce", std::chrono::seconds(120));
  check_recorded(uniform_quantize<4>{.round = rounding::stochastic}, gather{});
  check_recorded(uniform_quantize<4>{.round = rounding::stochastic}, two_shot{});
  check_recorded(top_k{.ratio = 0.1}, gather{});
  check_recorded(top_k{.ratio = 0.1}, two_shot{});
}

TEST_CASE("cuda collectives: at most two kernels around each exchange, and no allocation or wait when all is known") {
  support::watchdog const guard("cuda kernels around");
  auto const thrown = support::on_ranks(1, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(3000, 1.0f));
    workspace<cuda_exec> ws{ex};
    error_feedback ef{uniform_quantize<8>{}, 3000, ex};
    auto const call = [&](auto strategy) { allreduce(ex, comm, ef, std::span(x.data(), 3000), ws, {}, strategy); };
    call(gather{});
    call(two_shot{});
    auto const before = cudart_sim::count();
    call(gather{});
    CHECK(cudart_sim::count().launches == before.launches + 4);
    call(two_shot{});
    CHECK(cudart_sim::count().launches == before.launches + 4 + 6);
    CHECK(cudart_sim::count().allocations == before.allocations);
    CHECK(cudart_sim::count().host_syncs == before.host_syncs);
    comm.wait(ex, std::chrono::seconds(60));
  });
  support::all_well(thrown);
}

TEST_CASE("cuda collectives: a slot of another step is reported by the workspace") {
  support::watchdog const guard("cuda other step");
  std::vector<std::string> reports(2);
  auto const thrown = support::on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(600, 1.0f));
    workspace<cuda_exec> ws{ex};
    std::uint64_t const step = comm.rank() == 0 ? 4 : 5;  // the ranks agree on everything else
    allreduce(ex, comm, uniform_quantize<8>{}, std::span(x.data(), x.size()), ws, {.at = step}, gather{});
    try {
      ws.check();
    } catch (rank_mismatch const& e) {
      reports[index_of(comm)] = e.what();
    }
    ws.check();  // said once
  });
  support::all_well(thrown);
  CHECK(reports[0].find("rank 1 sent bytes of another call") != std::string::npos);
  CHECK(reports[0].find(", step 5; here ") != std::string::npos);
  CHECK(reports[0].find(", step 4)") != std::string::npos);
  CHECK(reports[1].find("rank 0 sent bytes of another call") != std::string::npos);
}

TEST_CASE("cuda collectives: slices on a second stream have the bits of whole tensors") {
  support::watchdog const guard("cuda slices", std::chrono::seconds(240));
  constexpr std::size_t n = 9001;
  for (int const ranks : {1, 3}) {
    CAPTURE(ranks);
    auto const check = [&](auto const& c, auto how) {
      check_on_both(seeded_inputs(ranks, n), 0, [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
        if constexpr (requires { comm.use_slices_of(comm); }) comm.use_slices(600);
        error_feedback feedback{c, n, ex};
        for (std::uint64_t at = 0; at < 2; ++at) allreduce(ex, comm, feedback, x, ws, {.at = at}, how);
        comm_settles(ex, comm);
      });
    };
    check(uniform_quantize<8>{}, two_shot{});
    check(rotated, gather{});
    check(uniform_quantize<8>{}, ring{});
    check(cast<bfloat16>{}, gather{});
  }
}
