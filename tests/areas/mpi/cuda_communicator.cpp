// Device memory over MPI: every rank has a simulated GPU of its own.
#include "world.hpp"

#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/comm/mpi.cuh>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/testing/check_communicator.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using namespace std::chrono_literals;
using support::device_array;

namespace {

constexpr mpi_device_memory ways[] = {mpi_device_memory::automatic, mpi_device_memory::direct,
                                      mpi_device_memory::staged};

}  // namespace

TEST_CASE("device memory over MPI does what collectives rely on") {
  for (auto const way : ways) {
    CAPTURE(static_cast<int>(way));
    support::own_stream const stream;
    mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s, .device_memory = way});
    for (auto const& fault : testing::check_communicator(cuda_exec(stream.get()), comm)) CHECK_MESSAGE(false, fault);
    CHECK(comm.size() == world()->size());
  }
}

TEST_CASE("long messages, sums and broadcasts of device memory") {
  for (auto const way : ways) {
    support::own_stream const stream;
    cuda_exec const ex(stream.get());
    mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s, .most_bytes = 4096, .device_memory = way});
    int const ranks = comm.size();
    std::size_t const n = 40001;
    for (auto const op : {wire_op::sum, wire_op::max}) {
      device_array<std::int32_t> const x(std::vector<std::int32_t>(n, comm.rank() + 1));
      comm.all_reduce(ex, x.data(), n, wire_type::int32, op);
      ex.synchronize();
      CHECK(x.values() == std::vector<std::int32_t>(n, op == wire_op::sum ? ranks * (ranks + 1) / 2 : ranks));
    }
    device_array<std::int32_t> const b(std::vector<std::int32_t>(n, comm.rank() + 5));
    comm.broadcast(ex, std::as_writable_bytes(std::span(b.data(), n)), ranks - 1);
    ex.synchronize();
    CHECK(b.values() == std::vector<std::int32_t>(n, ranks + 4));
  }
}

TEST_CASE("allreduce of device memory over MPI has the host's bits") {
  std::size_t const n = 3001;
  for (auto const way : ways) {
    support::own_stream const stream;
    cuda_exec const ex(stream.get());
    mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s, .slice_bytes = 600, .device_memory = way});
    auto const mine = support::gradients(comm.size(), n)[static_cast<std::size_t>(comm.rank())];
    auto const same = [&](auto const& c, auto how) {
      auto want = mine;
      workspace<host_exec> host;
      error_feedback on_host{c, n};
      workspace<cuda_exec> ws(ex);
      error_feedback on_device{c, n, ex};
      device_array<float> const x(mine);
      for (std::uint64_t step = 0; step < 2; ++step) {
        allreduce(host_exec{1}, comm, on_host, want, host, {.at = step}, how);
        allreduce(ex, comm, on_device, std::span(x.data(), n), ws, {.at = step}, how);
      }
      static_cast<void>(ws.check());
      CHECK(support::same_bits(x.values(), want));
    };
    same(uniform_quantize<8>{}, two_shot{});
    same(uniform_quantize<4>{}, gather{});
    same(cast<bfloat16>{}, in_flight{});
    same(qsgd<8>{}, ring{});
  }
}

TEST_CASE("ranks on the host and ranks on GPUs in one allreduce") {
  std::size_t const n = 3001;
  mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s, .slice_bytes = 600});
  auto const mine = support::gradients(comm.size(), n)[static_cast<std::size_t>(comm.rank())];
  auto const same = [&](auto const& c, auto how) {
    auto want = mine;
    workspace<host_exec> host;
    allreduce(host_exec{1}, comm, c, want, host, {.at = 7}, how);
    if (comm.rank() % 2 == 0) {
      auto x = mine;
      allreduce(host_exec{1}, comm, c, x, host, {.at = 7}, how);
      CHECK(support::same_bits(x, want));
    } else {
      support::own_stream const stream;
      cuda_exec const ex(stream.get());
      workspace<cuda_exec> ws(ex);
      device_array<float> const x(mine);
      allreduce(ex, comm, c, x.span(), ws, {.at = 7}, how);
      static_cast<void>(ws.check());
      CHECK(support::same_bits(x.values(), want));
    }
  };
  same(uniform_quantize<8>{}, two_shot{});
  same(qsgd<8>{}, gather{});
  same(cast<bfloat16>{}, in_flight{});
}

TEST_CASE("ranks on the host and ranks on GPUs in calls with a root, of chunks, of shards and of pairs") {
  mpi_communicator comm(MPI_COMM_WORLD, {.deadline = 20s});
  auto const ranks = static_cast<std::size_t>(comm.size()), me = static_cast<std::size_t>(comm.rank());
  std::size_t const n = 777;
  int const last = comm.size() - 1;
  uniform_quantize<4> const c{.round = rounding::stochastic};
  std::vector<std::size_t> counts(ranks);
  for (std::size_t r = 0; r < ranks; ++r) counts[r] = r * 300;
  std::size_t const total = 150 * ranks * (ranks - 1);
  std::vector<float> const mine = support::gradients(comm.size(), ranks * n)[me], zeros(ranks * n);
  /// All outputs, of spans that the exec can use.
  auto const calls = [&](auto const& ex, auto const& array) {
    workspace<std::remove_cvref_t<decltype(ex)>> ws(ex);
    auto x = array(mine), a = array(zeros), b = array(zeros), d = array(zeros), e = array(zeros);
    auto const all = [](auto& v) { return std::span<float>(v.data(), v.size()); };
    auto const part = [](auto& v, std::size_t count) { return std::span<float>(v.data(), count); };
    all_to_all(ex, comm, c, all(x), all(a), ws, {.at = 1});
    scatter_from(ex, comm, c, all(a), part(b, n), last, ws, {.at = 2});
    gather_to(ex, comm, c, part(b, n), all(d), 0, ws, {.at = 3});
    reduce_to(ex, comm, c, all(a), all(e), last, ws, {.at = 4});
    allgatherv(ex, comm, c, part(x, counts[me]), part(b, total), counts, ws, {.at = 5});
    if (comm.rank() > 0) receive(ex, comm, c, all(a), comm.rank() - 1, ws, {.at = 6});
    if (comm.rank() < last) send(ex, comm, c, all(x), comm.rank() + 1, ws, {.at = 6});
    if constexpr (requires { ws.check(); }) static_cast<void>(ws.check());
    std::vector<std::vector<float>> out;
    for (auto const* v : {&a, &b, &d, &e}) {
      if constexpr (requires { v->values(); })
        out.push_back(v->values());
      else
        out.push_back(*v);
    }
    return out;
  };
  auto const on_host = [&] { return calls(host_exec{1}, [](std::vector<float> v) { return v; }); };
  auto const want = on_host();
  if (comm.rank() % 2 == 0) {
    CHECK(support::same_bits(on_host(), want));
  } else {
    support::own_stream const stream;
    auto const got = calls(cuda_exec(stream.get()), [](std::vector<float> const& v) { return device_array<float>(v); });
    CHECK(support::same_bits(got, want));
  }
}

TEST_CASE("host memory and captures are refused") {
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  auto& comm = *world();
  std::vector<std::byte> on_host(8 * static_cast<std::size_t>(comm.size()));
  CHECK_THROWS_WITH_AS(comm.all_to_all(ex, on_host, on_host), doctest::Contains("all_to_all"), invalid_argument);
  device_array<std::byte> const x(on_host.size());
  detail::check_cuda(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  CHECK_THROWS_WITH_AS(comm.broadcast(ex, {x.data(), x.size()}, 0), doctest::Contains("records a graph"),
                       invalid_argument);
  cudaGraph_t graph = nullptr;
  detail::check_cuda(cudaStreamEndCapture(stream.get(), &graph), "cudaStreamEndCapture");
  detail::check_cuda(cudaGraphDestroy(graph), "cudaGraphDestroy");
}
