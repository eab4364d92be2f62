#pragma once
// How a pass on a GPU is timed: by events, against a copy of 256 MiB on the device in the same loop. A file that adds a
// pass compiles its kernels. nvcc takes a minute for those of uniform_quantize and one pass, so that each pass has a file
// of its own (pass_*.cu), and the others find the payload's encode in one of them.

#include "bench/compare/statistics.hpp"
#include "bench/suite/inputs.hpp"
#include "device_memory.cuh"
#include "stopwatch.cuh"

#include <ccomp/codec.cuh>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gpu {

using namespace ccomp;

inline constexpr std::size_t copied = std::size_t{256} << 20;
inline constexpr std::size_t large = copied / sizeof(float);
inline constexpr int ranks = 8;  // of the sums

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

/// `encode` out of line. Defined and instantiated by CCOMP_BENCH_ENCODE, once for each compressor.
template <class C>
void encode_once(cuda_exec const& ex, C const& c, std::span<float const> x, std::span<std::byte> payload,
                 workspace<cuda_exec>& ws);
#define CCOMP_BENCH_ENCODE(...)                                                                                        \
  template <>                                                                                                          \
  void gpu::encode_once(cuda_exec const& ex, __VA_ARGS__ const& c, std::span<float const> x, std::span<std::byte> out, \
                        workspace<cuda_exec>& ws) {                                                                    \
    encode(ex, c, x, out, ws, {.at = 1});                                                                              \
  }

/// A tensor on the device, its payload and what passes write.
template <class C> struct bench_call {
  C const c;
  std::size_t const n;
  cuda_exec const ex{};
  workspace<cuda_exec> ws{ex};
  std::size_t const bytes = payload_bytes(c, n);
  device_memory<float> x{n}, out{n};
  device_memory<std::byte> payload;

  bench_call(C const& compressor, std::size_t size, std::size_t sources)
      : c(compressor), n(size), payload(bytes * sources) {
    auto const values = suite::values(suite::kind::gaussian, std::min(n, large));  // larger: repeated
    for (std::size_t at = 0; at < n; at += values.size())
      detail::check_cuda(cudaMemcpy(x.data() + at, values.data(), std::min(values.size(), n - at) * sizeof(float),
                                    cudaMemcpyHostToDevice),
                         "cudaMemcpy");
    detail::check_cuda(cudaMemset(out.data(), 0, n * sizeof(float)), "cudaMemset");
    for (std::size_t r = 0; r < sources; ++r)
      encode_once(ex, c, std::span<float const>(x.span()), payload.span().subspan(r * bytes, bytes), ws);
  }
  [[nodiscard]] double values_bytes() const { return static_cast<double>(n * sizeof(float)); }
  [[nodiscard]] double payload_size() const { return static_cast<double>(bytes); }
};

enum class pass { encode, decode, accumulate, feedback, reduce };

template <pass Pass, class C> void run(benchmark::State& state, C const& c, std::size_t n, double reads) try {
  bench_call<C> b(c, n, Pass == pass::reduce ? std::size_t{ranks} : 1);
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
    auto call = detail::device_call(n, element_type::float32, {.at = 1});
    call.how.phase = 1;
    call.sum.sources = b.payload.span().data();
    call.sum.stride = b.bytes;
    call.sum.count = ranks;
    call.whole.payload = result.span().data();
    time_against_copy(state, b.ex, (ranks + 1) * sent,
                      [&] { detail::run_on_device<detail::device_pass::reduce>(b.ex, c, call, b.ws); });
  }
  b.ws.check();
} catch (error const& e) {
  state.SkipWithError(e.what());
}

inline constexpr char const* pass_names[] = {"encode", "decode", "accumulate", "feedback", "reduce"};

/// `reads`: how often a pass must read the input.
template <pass Pass, class C> void add(C const& c, std::size_t n = large, double reads = 1) {
  auto const name =
      std::string(pass_names[static_cast<int>(Pass)]) + '/' + text(c) + '/' + std::to_string(n >> 8) + "KiB";
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { run<Pass>(s, c, n, reads); })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.2);
}

}  // namespace gpu
