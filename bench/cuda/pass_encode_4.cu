#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

CCOMP_BENCH_ENCODE(uniform_quantize<4>)

void gpu::add_encode_4() { add<pass::encode>(uniform_quantize<4>{}); }
