#pragma once

#include "bench/compare/environment.hpp"
#include "bench/compare/host/yardstick.hpp"
#include "bench/compare/statistics.hpp"
#include "inputs.hpp"

#include <ccomp/ccomp.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace suite {

inline bool const compiler_shown = [] {
  benchmark::AddCustomContext("compiler", compare::compiler_name());
  return true;
}();

template <class Call> double seconds_of(Call&& call) {
  auto const start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Times `call` against reading and copying the same array in the same loop, and reports medians:
//   GB/s      float32 bytes of the tensor over the time of the call
//   of_read   that, over the speed of a max-abs pass with as many threads (the bar at 64 MiB)
//   of_copy   the same over memcpy (the bar where the tensor fits a cache)
// `prepare` runs before each call, and is not timed.
template <class Call, class Prepare = void (*)()>
void time_against_memory(
    benchmark::State& state, std::span<float const> x, int threads, Call&& call, Prepare&& prepare = [] {}) {
  compare::yardstick memory(threads);
  std::vector<float> copy(x.size());
  std::vector<double> times, reads, copies;
  prepare();
  call();  // grows workspaces, touches pages
  for (auto _ : state) {
    reads.push_back(memory.read_seconds(x));
    copies.push_back(memory.copy_seconds(x, copy));
    prepare();
    times.push_back(seconds_of(call));
    state.SetIterationTime(times.back());
  }
  double const time = compare::median(times), bytes = static_cast<double>(x.size_bytes());
  state.counters["GB/s"] = bytes / time / 1e9;
  state.counters["of_read"] = compare::median(reads) / time;
  state.counters["of_copy"] = compare::median(copies) / time;
}

// Everything a pass needs, made once.
struct bench_codec {
  bench_codec(std::string const& text, std::span<float const> values, int threads)
      : compressor(text),
        x(values),
        ex{.threads = threads},
        ws(ex),
        out(x.size()),
        bytes(ccomp::payload_bytes(compressor, x.size())),
        memory(static_cast<std::byte*>(ccomp::host_exec::allocate(bytes + 16))) {
    encode();
  }
  bench_codec(bench_codec const&) = delete;
  bench_codec& operator=(bench_codec const&) = delete;
  ~bench_codec() { ccomp::host_exec::deallocate(memory); }

  std::span<std::byte> payload() { return {memory, bytes}; }
  void encode() { used = ccomp::encode(ex, compressor, x, payload(), ws, {.at = 1}); }
  void decode() { ccomp::decode(ex, compressor, std::span<std::byte const>(memory, used), out, ws, {.at = 1}); }
  void decode_accumulate() {
    ccomp::decode_accumulate(ex, compressor, std::span<std::byte const>(memory, used), out, ws, {.at = 1});
  }
  // Payload size and error stand beside every time.
  void report(benchmark::State& state) {
    encode();
    decode();
    state.counters["ratio"] = static_cast<double>(x.size_bytes()) / static_cast<double>(used);
    state.counters["error"] = compare::relative_error(std::span<float const>(out), x);
  }

  ccomp::any_compressor compressor;
  std::span<float const> x;
  ccomp::host_exec ex;
  ccomp::workspace<ccomp::host_exec> ws;
  std::vector<float> out;
  std::size_t bytes, used = 0;
  std::byte* memory;
};

// 1 Ki values: latency; 256 Ki (1 MiB): cache; 16 Mi (64 MiB): memory.
inline std::vector<std::size_t> const sizes = {std::size_t{1} << 10, std::size_t{1} << 18, std::size_t{1} << 24};
inline constexpr std::size_t large = std::size_t{1} << 24, huge = std::size_t{1} << 26;

inline std::string size_name(std::size_t n) {
  return n >= (std::size_t{1} << 20) ? std::to_string(n >> 20) + "Mi" : std::to_string(n >> 10) + "Ki";
}

inline void add(std::string const& name, std::size_t n, auto body) {
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(n >= huge ? 0.5 : 0.2);
}

}
