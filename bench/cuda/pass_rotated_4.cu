#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

namespace gpu {

using rotated_four = decltype(hadamard_rotate{} | uniform_quantize<4>{});

}  // namespace gpu

CCOMP_BENCH_ENCODE(rotated_four)

void gpu::add_rotated_4() {
  auto const rotated = hadamard_rotate{.block = 1024} | uniform_quantize<4>{};
  add<pass::encode>(rotated);
  add<pass::decode>(rotated);
}
