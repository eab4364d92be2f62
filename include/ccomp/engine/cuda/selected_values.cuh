#pragma once
/// The result of a selection: the selected values, in the order of the input.

#include <ccomp/core/relative_bound.hpp>
#include <ccomp/engine/cuda/kth_key.cuh>

CCOMP_BEGIN
namespace detail {

/// How many values lie above the key, and how many equal it: two counts as one number, so that they are summed together.
__device__ inline unsigned long long pair_of(unsigned above, unsigned ties) {
  return above | static_cast<unsigned long long>(ties) << 32;
}
/// Where a bound that more values reach than fit begins to select them.
__device__ inline std::uint64_t start_place(vector_source const& source) {
  return overflow_start(source.random.now(), source.random.tensor, source.n);
}
/// Decides which are selected of `found` values that reach the bound; `split` of them stand before the start. Both as
/// pairs: of all, and of those that are not finite, which alone are selected where more are found than fit.
__device__ inline void select_reaching(selection_output const& output, unsigned long long found,
                                       unsigned long long split, selection_state& s) {
  std::uint32_t const most = s.selected, reached = static_cast<std::uint32_t>(found);
  auto count = reached, before = static_cast<std::uint32_t>(split);
  if (reached > most && found >> 32 > 0) {
    s.only_bad = 1;
    s.low = inf_bits - 1;
    count = static_cast<std::uint32_t>(found >> 32);
    before = static_cast<std::uint32_t>(split >> 32);
  }
  if (count > most) {  // the first from the start on, going on at the front
    s.split = before;
    s.head =
        std::uint64_t{before} + most > count ? static_cast<std::uint32_t>(std::uint64_t{before} + most - count) : 0;
  } else {
    s.selected = count;
  }
  auto* const header = output.header.mine();
  header[0] = s.selected;
  header[1] = reached - s.selected;
  report_overflow(output.status, reached - s.selected);
}
/// Writes value i if it is selected: `above` and `ties` such values come before it.
__device__ inline void write_value(selection_output const& output, selection_state const& s, bool is_above, bool is_tie,
                                   std::uint32_t above, std::uint32_t ties, std::uint64_t i, float v) {
  if (!is_above && !(is_tie && ties < s.ties)) return;
  std::uint32_t const rank = above + (ties < s.ties ? ties : s.ties);
  std::uint32_t const place = rank < s.head ? rank : rank - s.split + s.head;
  if ((rank >= s.head && rank < s.split) || place >= s.selected) return;
  output.index.mine()[place] = static_cast<std::uint32_t>(i);
  output.carrier.mine()[place] = v;
}
/// Writes what is selected of a row, and goes on to the next.
__device__ inline void write_row(selection_output const& output, selection_state const& s, tile_place const& at, int r,
                                 float const (&v)[4], std::uint32_t& above, std::uint32_t& ties) {
  unsigned larger = 0, equal = 0;
  CCOMP_UNROLL
  for (unsigned c = 0; c < 4; ++c) {
    std::uint32_t const key = magnitude_key(v[c]);
    if (c < at.count(r) && key > s.low) larger |= 1u << c;
    if (c < at.count(r) && key == s.low) equal |= 1u << c;
  }
  row_marks const row(larger, at.lane), row_equal(equal, at.lane);
  CCOMP_UNROLL
  for (unsigned c = 0; c < 4; ++c) {
    unsigned const lower = (1u << c) - 1u;
    write_value(output, s, (larger >> c & 1u) != 0, (equal >> c & 1u) != 0,
                above + row.before + static_cast<unsigned>(__popc(larger & lower)),
                ties + row_equal.before + static_cast<unsigned>(__popc(equal & lower)), at.index(r) + c, v[c]);
  }
  above += row.total;
  ties += row_equal.total;
}

/// A lane's share of what a tile holds. A bound has no ties to break: in their place it counts what is not finite.
struct tile_counts {
  unsigned above = 0, ties = 0, above_early = 0, ties_early = 0;

  __device__ void add(float v, std::uint32_t low, bool reaching, bool early) {
    std::uint32_t const key = magnitude_key(v);
    bool const is_above = key > low, second = reaching ? key >= inf_bits : key == low;
    above += is_above;
    ties += second;
    above_early += is_above && early;
    ties_early += second && early;
  }
  /// Of the whole warp.
  __device__ tile_counts sum() const {
    tile_counts all;
    all.above = __reduce_add_sync(full_warp, above);
    all.ties = __reduce_add_sync(full_warp, ties);
    all.above_early = __reduce_add_sync(full_warp, above_early);
    all.ties_early = __reduce_add_sync(full_warp, ties_early);
    return all;
  }
  __device__ unsigned long long early() const { return pair_of(above_early, ties_early); }
};

/// Counts each tile's values that are selected for sure, and its ties; the last block finds where all of them go.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    count_kernel(selection_input input, candidate_pool pool, selection_counts counts, selection_output output) {
  CCOMP_SHARED(unsigned long long[vector_warps], of_warp);
  vector_source const source = input.source.mine();
  selection_state& s = *input.state.mine();
  bool const reaching = input.what.bounded;
  std::uint64_t const start = reaching ? start_place(source) : 0;
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + warp;
  tile_counts here;
  if (tile * select_values < source.n) {
    if (s.pooled) {
      pool_tile const t = pool.tiles.mine()[tile];
      auto const* const value = pool.value.mine() + t.start;
      for (unsigned j = lane; j < t.count; j += 32) here.add(value[j], s.low, false, false);
    } else {
      tile_place const at = source.place(tile * select_values);
      CCOMP_UNROLL
      for (int r = 0; r < select_team::rows; ++r) {
        float v[4];
        source.load(at, r, v);
        CCOMP_UNROLL
        for (unsigned c = 0; c < 4; ++c)
          if (c < at.count(r)) here.add(v[c], s.low, reaching, at.index(r) + c < start);
      }
    }
    here = here.sum();
    if (lane == 0) {
      counts.tiles.mine()[tile] = pair_of(here.above, here.ties);
      if (reaching && tile == start / select_values) s.early = here.early();
    }
  }
  if (lane == 0) of_warp[warp] = pair_of(here.above, here.ties);
  __syncthreads();
  auto* const totals = counts.blocks.mine();
  if (threadIdx.x == 0) {
    unsigned long long total = 0;
    for (unsigned w = 0; w < vector_warps; ++w) total += of_warp[w];
    totals[blockIdx.x] = total;
  }
  if (!arrives_last(&s.arrived[4], gridDim.x)) return;

  unsigned long long const found = scan_array(totals, gridDim.x);
  __syncthreads();
  if (threadIdx.x != 0 || !reaching) return;
  std::uint64_t const middle = start / select_values, block = middle / vector_warps;
  unsigned long long split = totals[block] + s.early;
  for (std::uint64_t t = block * vector_warps; t < middle; ++t) split += __ldcg(counts.tiles.mine() + t);
  select_reaching(output, found, split, s);
}

/// Writes what is selected, in the order of the input.
CCOMP_KERNEL __launch_bounds__(vector_threads, 2)
    write_selected(selection_input input, candidate_pool pool, selection_counts counts, selection_output output) {
  vector_source const source = input.source.mine();
  selection_state const s = *input.state.mine();
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + warp;
  if (tile * select_values >= source.n) return;
  auto const* const of_tiles = counts.tiles.mine();
  unsigned long long before = counts.blocks.mine()[blockIdx.x];
  for (unsigned w = 0; w < warp; ++w) before += of_tiles[tile - warp + w];
  unsigned long long here = of_tiles[tile];
  if (s.only_bad) {  // counted in the ties' place
    before >>= 32;
    here >>= 32;
  }
  auto above = static_cast<std::uint32_t>(before), ties = static_cast<std::uint32_t>(before >> 32);
  bool const any = static_cast<std::uint32_t>(here) > 0 || (here >> 32 > 0 && ties < s.ties);
  if (s.pooled) {
    if (!any) return;
    pool_tile const t = pool.tiles.mine()[tile];
    auto const* const index = pool.index.mine() + t.start;
    auto const* const value = pool.value.mine() + t.start;
    unsigned const lower = (1u << lane) - 1u;
    for (unsigned j = 0; j < t.count; j += 32) {
      bool const inside = j + lane < t.count;
      float const v = inside ? value[j + lane] : 0.0f;
      bool const is_above = inside && magnitude_key(v) > s.low, is_tie = inside && magnitude_key(v) == s.low;
      unsigned const all_above = __ballot_sync(full_warp, is_above), all_ties = __ballot_sync(full_warp, is_tie);
      write_value(output, s, is_above, is_tie, above + static_cast<unsigned>(__popc(all_above & lower)),
                  ties + static_cast<unsigned>(__popc(all_ties & lower)), inside ? index[j + lane] : 0, v);
      above += static_cast<unsigned>(__popc(all_above));
      ties += static_cast<unsigned>(__popc(all_ties));
    }
    return;
  }
  if (!any && !source.residual.data) return;
  tile_place const at = source.place(tile * select_values);
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    float v[4];
    source.load(at, r, v);
    write_row(output, s, at, r, v, above, ties);
    if (source.residual.data) source.leave(at, r, v);
  }
}

}  // namespace detail
CCOMP_END
