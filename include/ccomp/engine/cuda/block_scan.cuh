#pragma once
/// What the threads of a block do together: prefix sums, and finding out which block is the last to arrive.

#include <ccomp/engine/cuda/tile.cuh>

CCOMP_BEGIN
namespace detail {

/// Thread blocks of the kernels for whole vectors.
inline constexpr unsigned vector_threads = 256, vector_warps = vector_threads / 32;

/// The sum over the lanes up to the caller's.
template <class T> __device__ T scan_warp(T x, unsigned lane) {
  CCOMP_UNROLL
  for (unsigned d = 1; d < 32; d *= 2) {
    T const other = __shfl_up_sync(full_warp, x, d);
    if (lane >= d) x += other;
  }
  return x;
}
/// The sum over the threads before the caller, and over all.
template <class T> struct block_prefix {
  T before, total;
};
template <class T> __device__ block_prefix<T> scan_block(T x) {
  CCOMP_SHARED(T[vector_warps], sums);
  unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T const upto = scan_warp(x, lane);
  __syncthreads();  // whatever was here before has been read
  if (lane == 31) sums[warp] = upto;
  __syncthreads();
  block_prefix<T> p{upto - x, 0};
  CCOMP_UNROLL
  for (unsigned w = 0; w < vector_warps; ++w) {
    if (w < warp) p.before += sums[w];
    p.total += sums[w];
  }
  return p;
}

/// Puts the sum of those before it in place of each of `count` numbers; returns the sum of all. For one block.
__device__ inline unsigned long long scan_array(unsigned long long* numbers, std::uint64_t count) {
  constexpr unsigned each = 4;
  unsigned long long sum = 0;
  for (std::uint64_t base = 0; base < count; base += each * vector_threads) {
    std::uint64_t const mine = base + each * threadIdx.x;
    unsigned long long x[each], own = 0;
    CCOMP_UNROLL
    for (unsigned i = 0; i < each; ++i) {
      x[i] = mine + i < count ? __ldcg(numbers + mine + i) : 0;
      own += x[i];
    }
    auto const p = scan_block(own);
    unsigned long long before = sum + p.before;
    CCOMP_UNROLL
    for (unsigned i = 0; i < each; ++i) {
      if (mine + i < count) numbers[mine + i] = before;
      before += x[i];
    }
    sum += p.total;
  }
  return sum;
}

/// True in all threads of the last of `blocks` blocks to come here, which then sees what the others wrote before.
__device__ inline bool arrives_last(std::uint32_t* arrived, unsigned blocks) {
  CCOMP_SHARED(std::uint32_t, order);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) order = atomicAdd(arrived, 1u);
  __syncthreads();
  bool const last = order == blocks - 1;
  if (last) __threadfence();
  return last;
}

}  // namespace detail
CCOMP_END
