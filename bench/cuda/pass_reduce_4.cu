#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

void gpu::add_reduce_4() { add<pass::reduce>(uniform_quantize<4>{}); }
