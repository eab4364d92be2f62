#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

CCOMP_BENCH_ENCODE(uniform_quantize<8>)

void gpu::add_encode_8() {
  uniform_quantize<8> const eight, stochastic{.round = rounding::stochastic};
  add<pass::encode>(eight);
  add<pass::encode>(stochastic);
  for (std::size_t const mib : {16, 64, 1024}) add<pass::encode>(eight, mib << 18);             // what the size does
  for (std::size_t n = 2048; n <= (std::size_t{1} << 18); n *= 8) add<pass::encode>(eight, n);  // latency
}
