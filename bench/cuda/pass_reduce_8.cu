#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

void gpu::add_reduce_8() { add<pass::reduce>(uniform_quantize<8>{}); }
