#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>

void gpu::add_feedback_8() {
  add<pass::feedback>(uniform_quantize<8>{});
  for (std::size_t const mib : {16, 64}) add<pass::feedback>(uniform_quantize<8>{}, mib << 18);
}
