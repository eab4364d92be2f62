#pragma once
/// The k-th largest key, by histograms of its upper 12, next 10 and last 9 bits.
///
/// After the first one, the second trip through the input gathers the candidates, all values whose upper bits are large
/// enough, into a pool, and the rest is decided there. Tiles go to the pool in the order in which their warps come, and
/// each tile knows where: the result is the same for any order. Where the pool has no room (a value repeats) the later
/// kernels read the input again instead: slower, never wrong.

#include <ccomp/core/relative_bound.hpp>
#include <ccomp/engine/cuda/selection.cuh>

CCOMP_BEGIN
namespace detail {

CCOMP_HD constexpr int level_shift(int level) { return level == 0 ? 19 : level == 1 ? 9 : 0; }
CCOMP_HD constexpr std::uint32_t level_bins(int level) {
  return level == 0 ? 1u << 12 : level == 1 ? 1u << 10 : 1u << 9;
}
CCOMP_HD constexpr std::uint32_t level_begin(int level) { return level == 0 ? 0 : level == 1 ? 4096 : 5120; }
inline constexpr std::uint32_t all_bins = 5632, most_bins = 4096;

/// Before anything is known but for a bound that the stage says.
__device__ inline void begin_selection(selection const& what, selection_state& s) {
  s = {};
  s.low = what.value > 0 ? reaching_key(what.value) - 1 : 0;
  s.inside = static_cast<std::uint32_t>(what.n);
  s.selected = static_cast<std::uint32_t>(what.most);
}
CCOMP_KERNEL __launch_bounds__(vector_threads)
    start_selection(selection_input input, per_item<std::uint32_t> histogram) {
  auto* const bins = histogram.mine();
  if (bins)
    for (unsigned b = threadIdx.x; b < all_bins; b += vector_threads) bins[b] = 0;
  if (threadIdx.x == 0) begin_selection(input.what, *input.state.mine());
}

/// Counts a row's keys that agree with what is known. Bin 0 is left out: what it holds follows from the others, and
/// zeros, which are often many and stand for what lies past the end, cost nothing.
__device__ inline void count_keys(float const (&v)[4], int level, std::uint32_t known, std::uint32_t* bins) {
  int const shift = level_shift(level);
  std::uint32_t const count = level_bins(level);
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) {
    std::uint32_t const upper = magnitude_key(v[c]) >> shift, bin = upper & (count - 1);
    if (bin != 0 && upper - bin == known * count) atomicAdd(bins + bin, 1u);
  }
}
__device__ inline void clear_bins(std::uint32_t* bins, int level) {
  for (unsigned b = threadIdx.x; b < level_bins(level); b += vector_threads) bins[b] = 0;
  __syncthreads();
}
__device__ inline void flush_bins(std::uint32_t const* bins, int level, std::uint32_t* all) {
  __syncthreads();
  for (unsigned b = threadIdx.x; b < level_bins(level); b += vector_threads)
    if (bins[b] != 0) atomicAdd(all + level_begin(level) + b, bins[b]);
}
/// One block's part: the bin that holds the k-th largest key. `bin_of(b)`: how many are in bin b.
template <class BinOf>
__device__ void narrow_keys(std::uint64_t most, std::uint32_t room, int level, BinOf const& bin_of,
                            selection_state& s) {
  unsigned const each = level_bins(level) / vector_threads, first = (vector_threads - 1 - threadIdx.x) * each;
  std::uint32_t const wanted = static_cast<std::uint32_t>(most) - s.above, inside = s.inside;
  std::uint32_t own = 0;
  for (unsigned b = first; b < first + each; ++b) own += bin_of(b);
  auto const p = scan_block(own);  // threads go from the largest keys down
  std::uint32_t above = p.before, bin = 0, here = inside - p.total;
  if (p.before < wanted && wanted - p.before <= own) {
    bin = first + each;
    do here = bin_of(--bin);
    while (wanted - above > here && (above += here, true));
  } else if (wanted > p.total && threadIdx.x == 0) {
    above = p.total;
  } else {
    return;
  }
  s.low = s.low * level_bins(level) + bin;
  s.above += above;
  s.inside = here;
  if (level == 0) s.pooled = std::uint64_t{s.above} + here <= room;
  if (level == 2) s.ties = static_cast<std::uint32_t>(most) - s.above;
}
/// The same by the last block to arrive.
__device__ inline void narrow_if_last(std::uint64_t most, std::uint32_t room, int level, std::uint32_t const* all,
                                      selection_state& s) {
  if (!arrives_last(&s.arrived[level], gridDim.x)) return;
  auto const* const bins = all + level_begin(level);
  narrow_keys(most, room, level, [bins](unsigned b) { return __ldcg(bins + b); }, s);
}

/// Counts keys of the pool, or else of the input.
CCOMP_KERNEL __launch_bounds__(vector_threads, 2)
    histogram_kernel(selection_input input, per_item<std::uint32_t> histogram, candidate_pool pool, int level) {
  CCOMP_SHARED(std::uint32_t[most_bins], bins);
  vector_source source = input.source.mine();
  selection_state& s = *input.state.mine();
  if (level > 0 && s.pooled) {
    source = {};
    source.in = {pool.value.mine(), element_type::float32};
    source.n = s.pool_used;
  }
  std::uint32_t const known = s.low;
  clear_bins(bins, level);
  std::uint64_t const stride = std::uint64_t{gridDim.x} * vector_warps * select_values;
  for (std::uint64_t base = (std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32) * select_values;
       base < source.n; base += stride) {
    tile_place const at = source.place(base);
    warp_tile<select_team> x;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) source.load(at, r, x.v[r]);
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) count_keys(x.v[r], level, known, bins);
  }
  auto* const all = histogram.mine();
  flush_bins(bins, level, all);
  narrow_if_last(input.what.most, pool.room, level, all, s);
}

/// Marked values of a row: how many stand before the lane's own, how many in all.
struct row_marks {
  unsigned before = 0, total = 0;

  /// Bit c: value c of the lane.
  __device__ row_marks(unsigned marks, unsigned lane) {
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      unsigned const set = __ballot_sync(full_warp, static_cast<int>(marks >> c & 1u));
      before += static_cast<unsigned>(__popc(set & ((1u << lane) - 1u)));
      total += static_cast<unsigned>(__popc(set));
    }
  }
};

/// The second trip: counts the next bits, and gathers the candidates if they fit the pool. The residual is written here
/// if no later kernel has to read the input.
CCOMP_KERNEL __launch_bounds__(vector_threads, 2)
    gather_kernel(selection_input input, per_item<std::uint32_t> histogram, candidate_pool pool) {
  CCOMP_SHARED(std::uint32_t[level_bins(1)], bins);
  vector_source const source = input.source.mine();
  selection_state& s = *input.state.mine();
  bool const pooled = s.pooled != 0;
  std::uint32_t const known = s.low;
  clear_bins(bins, 1);
  std::uint64_t const stride = std::uint64_t{gridDim.x} * vector_warps;
  for (std::uint64_t tile = std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32;
       tile * select_values < source.n; tile += stride) {
    tile_place const at = source.place(tile * select_values);
    warp_tile<select_team> x;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) source.load(at, r, x.v[r]);
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) count_keys(x.v[r], 1, known, bins);
    if (!pooled) continue;
    std::uint32_t marks = 0;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c)
        if (magnitude_key(x.v[r][c]) >> level_shift(0) >= known && c < at.count(r))
          marks |= 1u << (4 * static_cast<unsigned>(r) + c);
    }
    unsigned const count = __reduce_add_sync(full_warp, static_cast<unsigned>(__popc(marks)));
    std::uint32_t start = 0;
    if (count > 0) {
      if (at.lane == 0) start = atomicAdd(&s.pool_used, count);
      start = __shfl_sync(full_warp, start, 0);
      std::uint32_t row_start = start;
      CCOMP_UNROLL
      for (int r = 0; r < select_team::rows; ++r) {
        unsigned const mine = marks >> (4 * r) & 0xfu;
        row_marks const row(mine, at.lane);
        CCOMP_UNROLL
        for (unsigned c = 0; c < 4; ++c) {
          std::uint32_t const place = row_start + row.before + static_cast<unsigned>(__popc(mine & ((1u << c) - 1u)));
          if ((mine >> c & 1u) != 0 && place < pool.room) {
            pool.index.mine()[place] = static_cast<std::uint32_t>(at.index(r) + c);
            pool.value.mine()[place] = x.v[r][c];
          }
        }
        row_start += row.total;
      }
    }
    if (at.lane == 0) pool.tiles.mine()[tile] = {start, count};
    if (source.residual.data) {
      CCOMP_UNROLL
      for (int r = 0; r < select_team::rows; ++r) source.leave(at, r, x.v[r]);
    }
  }
  auto* const all = histogram.mine();
  flush_bins(bins, 1, all);
  narrow_if_last(input.what.most, pool.room, 1, all, s);
}

}  // namespace detail
CCOMP_END
