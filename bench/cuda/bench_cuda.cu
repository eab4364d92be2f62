// The passes on a GPU: time by events, against a copy of 256 MiB on the device in the same loop; and, where there is
// NCCL, the latency of a small allreduce beside NCCL's own.
#include <benchmark/benchmark.h>

#include <ccomp/passes.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#ifdef CCOMP_BENCH_NCCL
#include <ccomp/collectives.cuh>
#include <ccomp/comm/nccl.hpp>
#endif

#include "bench/compare/statistics.hpp"
#include "bench/suite/inputs.hpp"
#include "device_memory.cuh"
#include "gpu_facts.cuh"
#include "peer_sort.cuh"
#include "stopwatch.cuh"

namespace {

using namespace ccomp;
using gpu::device_memory, gpu::stopwatch;

constexpr std::size_t copied = std::size_t{256} << 20;
constexpr std::size_t large = copied / sizeof(float);
constexpr int ranks = 8;  // of the sums

/// The two ends of the yardstick, made once.
struct yardstick {
  device_memory<std::byte> from{copied}, to{copied};
  static yardstick& get() {
    static auto* const one = new yardstick;  // outlives the driver's own end
    return *one;
  }
};

/// Times `call`, which must move `bytes`, and reports medians:
///   GB/s      those bytes over the time
///   of_copy   the same over the bytes a second of the copy, read and written: the bar
template <class Call>
void time_against_copy(benchmark::State& state, cuda_exec const& ex, double bytes, Call const& call) {
  auto& yard = yardstick::get();
  stopwatch const watch;
  std::vector<double> times, copies;
  call();  // grows workspaces, loads kernels
  for (auto _ : state) {
    copies.push_back(watch.seconds_of(ex, [&] {
      detail::check_cuda(cudaMemcpyAsync(yard.to.span().data(), yard.from.span().data(), copied,
                                         cudaMemcpyDeviceToDevice, ex.stream()),
                         "cudaMemcpyAsync");
    }));
    times.push_back(watch.seconds_of(ex, call));
    state.SetIterationTime(times.back());
  }
  double const time = compare::median(times), copy = 2.0 * copied / compare::median(copies);
  state.counters["GB/s"] = bytes / time / 1e9;
  state.counters["copy_GB/s"] = copy / 1e9;
  state.counters["of_copy"] = bytes / time / copy;
}

/// A tensor on the device, its payload and what passes write.
template <class C> struct bench_call {
  C const c;
  std::size_t const n;
  cuda_exec const ex{};
  workspace<cuda_exec> ws{ex};
  std::size_t const bytes = payload_bytes(c, n);
  device_memory<float> x{n}, out{n};
  device_memory<std::byte> payload{bytes * ranks};

  bench_call(C const& compressor, std::size_t size) : c(compressor), n(size) {
    auto const values = suite::values(suite::kind::gaussian, n);
    detail::check_cuda(cudaMemcpy(x.span().data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice),
                       "cudaMemcpy");
    detail::check_cuda(cudaMemset(out.span().data(), 0, values.size_bytes()), "cudaMemset");
    for (std::size_t r = 0; r < ranks; ++r)
      encode(ex, c, std::span<float const>(x.span()), payload.span().subspan(r * bytes, bytes), ws, {.at = 1});
  }
  [[nodiscard]] double values_bytes() const { return static_cast<double>(n * sizeof(float)); }
  [[nodiscard]] double payload_size() const { return static_cast<double>(bytes); }
};

enum class pass { encode, decode, accumulate, feedback, reduce };

template <pass Pass, class C> void run(benchmark::State& state, C const& c, std::size_t n, double reads) try {
  bench_call<C> b(c, n);
  std::span<float const> const in(b.x.span());
  auto const first = b.payload.span().first(b.bytes);
  double const values = b.values_bytes(), sent = b.payload_size();
  if constexpr (Pass == pass::encode)
    time_against_copy(state, b.ex, reads * values + sent, [&] { encode(b.ex, c, in, first, b.ws, {.at = 1}); });
  else if constexpr (Pass == pass::decode)
    time_against_copy(state, b.ex, sent + values, [&] { decode(b.ex, c, first, b.out.span(), b.ws, {.at = 1}); });
  else if constexpr (Pass == pass::accumulate)
    time_against_copy(state, b.ex, sent + 2 * values,
                      [&] { decode_accumulate(b.ex, c, first, b.out.span(), b.ws, {.at = 1}); });
  else if constexpr (Pass == pass::feedback)
    time_against_copy(state, b.ex, 3 * values + sent,
                      [&] { encode_feedback(b.ex, c, in, b.out.span(), first, b.ws, {.at = 1}); });
  else {
    device_memory<std::byte> const result(b.bytes);
    auto k = detail::device_call(n, element_type::float32, {.at = 1});
    k.phase = 1;
    k.sources = b.payload.span().data();
    k.source_stride = b.bytes;
    k.source_count = ranks;
    k.payload = result.span().data();
    time_against_copy(state, b.ex, (ranks + 1) * sent,
                      [&] { detail::run_on_device<detail::device_pass::reduce>(b.ex, c, k, b.ws); });
  }
  b.ws.check();
} catch (error const& e) {
  state.SkipWithError(e.what());
}

constexpr char const* names[] = {"encode", "decode", "accumulate", "feedback", "reduce"};

/// `reads`: how often a pass must read the input.
template <pass Pass, class C> void add(C const& c, std::size_t n = large, double reads = 1) {
  auto const name = std::string(names[static_cast<int>(Pass)]) + '/' + text(c) + '/' + std::to_string(n >> 8) + "KiB";
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { run<Pass>(s, c, n, reads); })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.2);
}

/// CUB sorts all magnitudes with their indices, which a top-k without a selection of its own would have to.
void sort_all(benchmark::State& state) try {
  cuda_exec const ex;
  peer::radix_sort_magnitudes sort(large);
  auto const values = suite::values(suite::kind::gaussian, large);
  device_memory<float> const x(large);
  detail::check_cuda(cudaMemcpy(x.span().data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice),
                     "cudaMemcpy");
  time_against_copy(state, ex, 2.0 * static_cast<double>(values.size_bytes()), [&] { sort(ex, x.span().data()); });
} catch (error const& e) {
  state.SkipWithError(e.what());
}

#ifdef CCOMP_BENCH_NCCL
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
#endif

void add_all() {
  uniform_quantize<8> const eight, stochastic{.round = rounding::stochastic};
  uniform_quantize<4> const four;
  auto const rotated = hadamard_rotate{.block = 1024} | four;
  add<pass::encode>(eight);
  add<pass::decode>(eight);
  add<pass::accumulate>(eight);
  add<pass::feedback>(eight);
  add<pass::encode>(stochastic);
  add<pass::encode>(four);
  add<pass::encode>(rotated);
  add<pass::decode>(rotated);
  add<pass::encode>(cast<bfloat16>{});
  add<pass::decode>(cast<bfloat16>{});
  add<pass::reduce>(eight);
  add<pass::reduce>(four);
  add<pass::reduce>(sign_quantize{});
  add<pass::encode>(top_k{.ratio = 0.01}, large, 2);
  benchmark::RegisterBenchmark("sort/cub/262144KiB", sort_all)->UseManualTime()->Unit(benchmark::kMicrosecond);
  add<pass::encode>(threshold{.value = 0.003f});
  for (std::size_t n = 2048; n <= (std::size_t{1} << 18); n *= 8) add<pass::encode>(eight, n);  // latency
#ifdef CCOMP_BENCH_NCCL
  for (std::size_t const kib : {8, 64, 512, 1024})
    benchmark::RegisterBenchmark(("allreduce/uniform_quantize<8>/one_rank/" + std::to_string(kib) + "KiB").c_str(),
                                 [=](benchmark::State& s) { small_allreduce(s, kib * 256); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.2);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  try {
    auto const found = gpu::current();
    benchmark::AddCustomContext("gpu", found.name);
    benchmark::AddCustomContext("cuda_runtime", std::to_string(found.runtime));
    benchmark::AddCustomContext("cuda_driver", std::to_string(found.driver));
  } catch (error const& e) {
    std::fprintf(stderr, "ccomp-bench-cuda needs an NVIDIA GPU: %s\n", e.what());
    return 2;
  }
  add_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
