#pragma once
/// A bound relative to the root mean square: the squares of tiles, as the host sums them.

#include <ccomp/core/relative_bound.hpp>
#include <ccomp/engine/cuda/selection.cuh>

CCOMP_BEGIN
namespace detail {

inline constexpr std::uint64_t norm_values = tile_values;

/// All squares, in the order of a tile's, and the largest key, by one thread block; thread 0 has them.
template <class Sums, class Keys>
__device__ tile_norm sum_norms(tile_norm const* norms, std::uint64_t count, Sums& sums, Keys& keys) {
  std::uint32_t largest = 0;
  double sum = 0;
  for (std::uint64_t t = threadIdx.x; t < count; t += vector_threads) {
    std::uint32_t const key = __ldcg(&norms[t].largest);
    largest = key > largest ? key : largest;
  }
  if (threadIdx.x < row_values) {
    for (std::uint64_t t = threadIdx.x; t < count; t += row_values) sum = add(sum, __ldcg(&norms[t].squares));
    sums[threadIdx.x] = sum;
  }
  largest = __reduce_max_sync(full_warp, largest);
  if (threadIdx.x % 32 == 0) keys[threadIdx.x / 32] = largest;
  for (unsigned half = row_values / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] = add(sums[threadIdx.x], sums[threadIdx.x + half]);
  }
  __syncthreads();
  for (unsigned w = 0; w < vector_warps; ++w) largest = keys[w] > largest ? keys[w] : largest;
  return {sums[0], largest};
}

/// Squares of tiles as the host sums them; the last block finds the bound.
CCOMP_KERNEL __launch_bounds__(vector_threads) norm_kernel(selection_input input, per_item<tile_norm> tile_norms) {
  CCOMP_SHARED(double[row_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], keys);
  vector_source const source = input.source.mine();
  selection_state& s = *input.state.mine();
  auto* const norms = tile_norms.mine();
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32;
  if (tile * norm_values < source.n) {
    tile_place const at = source.place(tile * norm_values);
    lane_statistic<finite_squares> squares;
    std::uint32_t largest = 0;
    for (int r = 0; r < static_cast<int>(norm_values / row_values); ++r) {
      float v[4];
      source.load(at, r, v);
      squares.add_row(v, at.count(r));
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) {
        std::uint32_t const key = magnitude_key(finite_or_zero(v[c]));
        largest = key > largest ? key : largest;
      }
    }
    double const sum = squares.finish(32).sum[0];
    largest = __reduce_max_sync(full_warp, largest);
    if (at.lane == 0) norms[tile] = {sum, largest};
  }
  if (!arrives_last(&s.arrived[3], gridDim.x)) return;

  tile_norm const all = sum_norms(norms, ceil_div(source.n, norm_values), sums, keys);
  if (threadIdx.x != 0) return;
  s.low = reaching_key(relative_bound(input.what.relative, all.squares, source.n, bits_float(all.largest))) - 1;
}

}  // namespace detail
CCOMP_END
