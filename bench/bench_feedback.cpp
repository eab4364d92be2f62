// Encode with feedback in one pass, and the same in four: encode, decode, and the two passes over the residual.
#include "suite/timed.hpp"

namespace suite {
namespace {

// What one does without a fused pass: v = x + r; encode v; decode it; r = v - decoded.
void four_passes(bench_codec& c, std::vector<float>& residual, std::vector<float>& sum) {
  auto const pass = [&](auto const& body) {
    ccomp::detail::parallel_ranges(c.ex, c.x.size(), 1, [&](std::size_t begin, std::size_t end) {
      ccomp::detail::run(ccomp::detail::resolve_isa(c.ex), [&] { body(begin, end); });
    });
  };
  float* const r = residual.data();
  float* const v = sum.data();
  float const* const x = c.x.data();
  float const* const decoded = c.out.data();
  pass([=](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) v[i] = x[i] + r[i];
  });
  c.used = ccomp::encode(c.ex, c.compressor, sum, c.payload(), c.ws, {.at = 1});
  c.decode();
  pass([=](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) r[i] = v[i] - decoded[i];
  });
}

int const registered_feedback = [] {
  for (std::string const text : {"uniform_quantize<8>", "uniform_quantize<4>", "sign_quantize", "top_k(0.01)",
                                 "top_k(0.01)|uniform_quantize<8>", "hadamard_rotate|uniform_quantize<4>"})
    for (std::size_t const n : sizes)
      for (int const threads : {1, 2}) {
        std::string const suffix = '/' + text + "/gradient/" + size_name(n) + "/threads:" + std::to_string(threads);
        add("feedback" + suffix, n, [=](benchmark::State& state) {
          bench_codec c(text, values(kind::gradient, n), threads);
          std::vector<float> residual(n), other(n), sum(n);
          std::vector<double> fused, apart;
          time_against_memory(state, c.x, threads, [&] {
            fused.push_back(seconds_of([&] {
              ccomp::encode_feedback(c.ex, c.compressor, c.x, std::span(residual), c.payload(), c.ws, {.at = 1});
            }));
          });
          for (std::size_t i = 0; i < std::min<std::size_t>(fused.size(), 9); ++i) {
            apart.push_back(seconds_of([&] { four_passes(c, other, sum); }));
            fused.push_back(seconds_of([&] {
              ccomp::encode_feedback(c.ex, c.compressor, c.x, std::span(residual), c.payload(), c.ws, {.at = 1});
            }));
          }
          state.counters["against_four_passes"] = compare::median(apart) / compare::median(fused);
          c.report(state);
        });
      }
  return 0;
}();

}
}
