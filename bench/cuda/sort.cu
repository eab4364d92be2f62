#include "benchmarks.hpp"
#include "peer_sort.cuh"
#include "timed_pass.cuh"

namespace gpu {
namespace {

/// CUB sorts all magnitudes with their indices, which a top-k without a selection of its own would have to.
void sort_all(benchmark::State& state) try {
  cuda_exec const ex;
  peer::radix_sort_magnitudes sort(large);
  auto const values = suite::values(suite::kind::gaussian, large);
  device_memory<float> const x(large);
  detail::check_cuda(cudaMemcpy(x.span().data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice),
                     "cudaMemcpy");
  time_against_copy(state, ex, 2.0 * static_cast<double>(values.size_bytes()), [&] { sort(ex, x.span().data()); });
} catch (error const& e) {
  state.SkipWithError(e.what());
}

}  // namespace

void add_sort() {
  benchmark::RegisterBenchmark("sort/cub/262144KiB", sort_all)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

}  // namespace gpu
