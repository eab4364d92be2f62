#include "benchmarks.hpp"
#include "timed_pass.cuh"

#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>

CCOMP_BENCH_ENCODE(top_k)
CCOMP_BENCH_ENCODE(threshold)

void gpu::add_sparse() {
  add<pass::encode>(top_k{.ratio = 0.01}, large, 2);
  for (std::size_t const mib : {16, 64}) add<pass::encode>(top_k{.ratio = 0.01}, mib << 18, 2);
  add<pass::encode>(threshold{.value = 0.003f});
}
