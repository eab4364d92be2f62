#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

void gpu::add_decode_8() {
  uniform_quantize<8> const eight;
  add<pass::decode>(eight);
  add<pass::accumulate>(eight);
  for (std::size_t const mib : {16, 64, 1024}) add<pass::decode>(eight, mib << 18);
}
