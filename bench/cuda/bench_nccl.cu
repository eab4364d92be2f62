// The latency of a small allreduce beside NCCL's own. A program of its own, so that the passes can be timed on a machine
// that has no NCCL.
#include "bench/compare/statistics.hpp"
#include "bench/suite/inputs.hpp"
#include "device_memory.cuh"
#include "run_benchmarks.cuh"
#include "stopwatch.cuh"

#include <ccomp/collectives.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace {

using namespace ccomp;
using gpu::device_memory, gpu::stopwatch;

/// One rank, so no byte leaves the GPU: what is timed is what our kernels and calls add around NCCL's. Neither side has a
/// shortcut then: ours codes, gathers its own payload and sums it; NCCL, not in place, copies.
///   us         ours, the median
///   NCCL_us    ncclAllReduce of as many floats
void small_allreduce(benchmark::State& state, std::size_t n) try {
  constexpr int device[] = {0};
  cuda_exec const ex;
  auto comms = nccl_communicator::init_all(device);
  auto& comm = comms.front();
  workspace<cuda_exec> ws{ex};
  auto const values = suite::values(suite::kind::gaussian, n);
  device_memory<float> const x(n), sum(n);
  detail::check_cuda(cudaMemcpy(x.data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  auto const ours = [&] { allreduce(ex, comm, uniform_quantize<8>{}, x.span(), ws, {.at = 1}, gather{}); };
  auto const theirs = [&] {
    detail::check_nccl(ncclAllReduce(x.data(), sum.data(), n, ncclFloat, ncclSum, comm.get(), ex.stream()),
                       "ncclAllReduce");
  };
  ours();
  theirs();
  stopwatch const watch;
  std::vector<double> own, nccl;
  for (auto _ : state) {
    nccl.push_back(watch.seconds_of(ex, theirs));
    own.push_back(watch.seconds_of(ex, ours));
    state.SetIterationTime(own.back());
  }
  state.counters["us"] = compare::median(own) * 1e6;
  state.counters["NCCL_us"] = compare::median(nccl) * 1e6;
  ws.check();
  comm.finalize();
} catch (error const& e) {
  state.SkipWithError(e.what());
}

}  // namespace

int main(int argc, char** argv) {
  return gpu::run_benchmarks("ccomp-bench-nccl", argc, argv, [] {
    for (std::size_t const kib : {8, 64, 512, 1024})
      benchmark::RegisterBenchmark(("allreduce/uniform_quantize<8>/one_rank/" + std::to_string(kib) + "KiB").c_str(),
                                   [=](benchmark::State& s) { small_allreduce(s, kib * 256); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond)
          ->MinTime(0.2);
  });
}
