#pragma once
/// Exact selection of the values of largest magnitude, or of those that reach a bound: what decides (`kth_key.cuh`,
/// `relative_bound.cuh`), what writes the result (`selected_values.cuh`), and here all of it by one thread block.
///
/// Every kernel serves several equal items: the grid's y tells which.

#include <ccomp/engine/cuda/relative_bound.cuh>
#include <ccomp/engine/cuda/selected_values.cuh>

CCOMP_BEGIN
namespace detail {

/// What one thread block can hold.
inline constexpr std::uint64_t block_values = select_values * vector_warps;

/// All of it for up to `block_values` values, which are read once: small tensors wait for launches, not for memory.
/// A relative bound has been found before.
CCOMP_KERNEL __launch_bounds__(vector_threads, 2) select_kernel(selection_input input, selection_output output) {
  CCOMP_SHARED(std::uint32_t[most_bins], bins);
  CCOMP_SHARED(unsigned long long[vector_warps], counts);
  CCOMP_SHARED(selection_state, s);
  vector_source const source = input.source.mine();
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  bool const reaching = input.what.bounded;
  tile_place const at = source.place(warp * select_values);
  warp_tile<select_team> x;
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) source.load(at, r, x.v[r]);
  if (threadIdx.x == 0) {
    begin_selection(input.what, s);
    if (reaching && !(input.what.value > 0)) s.low = input.state.mine()->low;
  }
  __syncthreads();
  for (int level = 0; level < 3 && !reaching; ++level) {
    clear_bins(bins, level);
    std::uint32_t const known = s.low;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) count_keys(x.v[r], level, known, bins);
    __syncthreads();
    narrow_keys(input.what.most, 0, level, [&](unsigned b) { return bins[b]; }, s);
    __syncthreads();
  }

  std::uint64_t const first = reaching ? start_place(source) : 0;
  tile_counts here;
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (c < at.count(r)) here.add(x.v[r][c], s.low, reaching, at.index(r) + c < first);
  }
  here = here.sum();
  if (lane == 0) {
    counts[warp] = pair_of(here.above, here.ties);
    bins[2 * warp] = here.above_early;
    bins[2 * warp + 1] = here.ties_early;
  }
  __syncthreads();
  if (reaching && threadIdx.x == 0) {
    unsigned long long found = 0, split = 0;
    for (unsigned w = 0; w < vector_warps; ++w) {
      found += counts[w];
      split += pair_of(bins[2 * w], bins[2 * w + 1]);
    }
    select_reaching(output, found, split, s);
    *input.state.mine() = s;
  }
  __syncthreads();
  unsigned long long before = 0;
  for (unsigned w = 0; w < warp; ++w) before += counts[w];
  if (s.only_bad) before >>= 32;  // counted in the ties' place
  auto above = static_cast<std::uint32_t>(before), ties = static_cast<std::uint32_t>(before >> 32);
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    write_row(output, s, at, r, x.v[r], above, ties);
    if (source.residual.data) source.leave(at, r, x.v[r]);
  }
}

}  // namespace detail
CCOMP_END
