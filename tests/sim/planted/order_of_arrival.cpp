// Values are kept in the order in which warps come, as if that were the order of the input.
// plain: wrong result
// asan: wrong result
// tsan: wrong result
#include "planted.hpp"

#include <ccomp/engine/cuda/block_scan.cuh>

template <bool Correct> __global__ void kernel(unsigned* out) {
  CCOMP_SHARED(unsigned, taken);
  unsigned const kept = threadIdx.x % 3 == 0;
  unsigned place = ccomp::detail::scan_block(kept).before;
  if (threadIdx.x == 0) taken = 0;
  __syncthreads();
  if constexpr (!Correct)
    if (kept) place = atomicAdd(&taken, 1u);
  if (kept) out[place] = threadIdx.x;
}

template <bool Correct> int run() {
  constexpr unsigned threads = ccomp::detail::vector_threads;
  device_array<unsigned> const out((threads + 2) / 3);
  launch(cuda_exec(), "kernel", kernel<Correct>, 1, threads, out.data());
  std::vector<unsigned> expected;
  for (unsigned i = 0; i < threads; i += 3) expected.push_back(i);
  return verdict(out.values() == expected);
}
PLANTED_MAIN
