// Encode, decode and decode-accumulate of every row of stage_list.hpp.
#include "suite/timed.hpp"

namespace suite {
namespace {

// What every row of stage_list.hpp compares and times; bench_low_rank.cpp times the others.
std::vector<std::string> compressors() {
  std::vector<std::string> all;
  ccomp::detail::for_each_stage([&]<class S>(std::type_identity<S>, auto const& row) {
    ccomp::detail::add_texts(all, row.compared);
    ccomp::detail::add_texts(all, row.timed);
  });
  return all;
}

void add_passes(std::string const& text, kind k, std::size_t n, int threads) {
  std::string const suffix = '/' + text + '/' + name_of(k) + '/' + size_name(n) + "/threads:" + std::to_string(threads);
  add("encode" + suffix, n, [=](benchmark::State& state) {
    bench_codec c(text, values(k, n), threads);
    time_against_memory(state, c.x, threads, [&] { c.encode(); });
    c.report(state);
  });
  add("decode" + suffix, n, [=](benchmark::State& state) {
    bench_codec c(text, values(k, n), threads);
    time_against_memory(state, c.x, threads, [&] { c.decode(); });
    c.report(state);
  });
  add("accumulate" + suffix, n, [=](benchmark::State& state) {
    bench_codec c(text, values(k, n), threads);
    time_against_memory(state, c.x, threads, [&] { c.decode_accumulate(); });
    c.report(state);
  });
}

/// What a CPU without AVX-512 would do.
void add_avx2(std::string const& text, int threads) {
  std::string const suffix = '/' + text + "/gaussian/" + size_name(large) + "/threads:" + std::to_string(threads);
  add("encode_avx2" + suffix, large, [=](benchmark::State& state) {
    if (!ccomp::detail::cpu_has(ccomp::instruction_set::avx2)) return state.SkipWithError("this CPU has no AVX2");
    bench_codec c(text, values(kind::gaussian, large), threads);
    c.ex.isa = ccomp::instruction_set::avx2;
    time_against_memory(state, c.x, threads, [&] { c.encode(); });
    c.report(state);
  });
}

int const registered_passes = [] {
  for (auto const& text : compressors()) {
    for (std::size_t const n : sizes)
      for (int const threads : {1, 2}) add_passes(text, kind::gaussian, n, threads);
    for (kind const k : {kind::heavy, kind::gradient}) add_passes(text, k, large, 2);
  }
  for (std::string const text : {"cast<bfloat16>", "uniform_quantize<8>", "top_k(0.01)"})
    add_passes(text, kind::gaussian, huge, 2);
  for (std::string const text : {"uniform_quantize<8>(round=stochastic)", "vector_quantize<4x8>"})
    for (int const threads : {1, 2}) add_avx2(text, threads);
  return 0;
}();

}
}
