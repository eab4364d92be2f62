#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>

CCOMP_BENCH_ENCODE(cast<bfloat16>)
CCOMP_BENCH_ENCODE(sign_quantize)

void gpu::add_small() {
  add<pass::encode>(cast<bfloat16>{});
  add<pass::decode>(cast<bfloat16>{});
  add<pass::reduce>(sign_quantize{});
}
