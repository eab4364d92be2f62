#pragma once
/// Exact selection of the values of largest magnitude, or of those that reach a bound.
///
/// The k-th largest key is found by histograms of its upper 12, next 10 and last 9 bits. After the first one, the second
/// trip through the input gathers the candidates, all values whose upper bits are large enough, into a pool, and the
/// rest is decided there. Tiles go to the pool in the order in which their warps come, and each tile knows where: the
/// result is the same for any order. Where the pool has no room (a value repeats) the later kernels read the input
/// again instead: slower, never wrong.
///
/// Every kernel serves several equal items: the grid's y tells which.

#include <ccomp/engine/cuda/block_scan.cuh>
#include <ccomp/engine/cuda/residual.cuh>
#include <ccomp/sparsify/threshold.hpp>

CCOMP_BEGIN
namespace detail {

/// A warp's tile.
using select_team = team_shape<8, 1>;
inline constexpr std::uint64_t select_values = select_team::warp_values;

/// The input of a vector stage: x, or x + decay * residual.
struct vector_source {
  device_values in{}, residual{};
  float decay = 1;
  std::uint64_t n = 0, stride = 0;            // of an item; from one to the next
  std::uint64_t first = 0, first_stride = 0;  // the number of an item's first value in its tensor
  device_random random{};
  std::uint8_t phase = 0;

  /// The thread block's item.
  __device__ vector_source mine() const {
    vector_source s = *this;
    s.in = advanced(in, blockIdx.y * stride);
    s.residual = advanced(residual, blockIdx.y * stride);
    s.first += blockIdx.y * first_stride;
    return s;
  }
  __device__ tile_place place(std::uint64_t base) const { return {base, base, n, 0, threadIdx.x % 32}; }
  /// Sums of NaNs differ from engine to engine: there is one kind.
  __device__ void load(tile_place const& at, int r, float (&v)[4]) const {
    load_quad(in, at.index(r), at.n, v);
    if (!residual.data) return;
    add_residual(residual, decay, at, r, v);
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) v[c] = canonical(v[c]);
  }
  __device__ float value(std::uint64_t i) const {
    float const x = load_value(in, i);
    return residual.data ? canonical(with_residual(x, decay, load_value(residual, i))) : x;
  }
  /// As if nothing were sent: the residual becomes v where that is finite.
  __device__ void leave(tile_place const& at, int r, float const (&v)[4]) const {
    float rest[4];
    unsigned keep = 0;
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      rest[c] = v[c];
      if (is_finite(v[c])) keep |= 1u << c;
    }
    store_residual(residual, random, phase, first, at, r, rest, keep);
  }
};

/// What is known about one item's selection so far.
struct select_state {
  std::uint32_t low;            // the upper bits of the k-th largest key; at last all: larger keys are kept,
  std::uint32_t ties;           //   and the first so many that equal it
  std::uint32_t above, inside;  // values with larger upper bits, values with these
  std::uint32_t pooled;         // the candidates are in the pool
  std::uint32_t pool_used;
  std::uint32_t kept, split, head;  // kept, by rank: the first `head`, and from `split` on, `kept` in all
  std::uint32_t arrived[5];
};
/// Where a tile's candidates lie in the pool.
struct pool_tile {
  std::uint32_t start, count;
};
struct tile_norm {
  double squares;
  std::uint32_t largest;  // key
};

struct selection_call {
  selection what{};
  vector_source source{};
  std::uint32_t room = 0;  // of the pool
  per_item<select_state> state{};
  per_item<std::uint32_t> bins{};
  per_item<pool_tile> tiles{};
  per_item<std::uint32_t> pool_index{};
  per_item<float> pool_value{};
  per_item<unsigned long long> counts{}, totals{};  // of tiles, of thread blocks: above | ties << 32
  per_item<tile_norm> norms{};
  per_item<std::uint32_t> index{};   // the result: `kept` places,
  per_item<float> carrier{};         // and the values there
  per_item<std::uint32_t> header{};  // of the payload, or null
};

// ---- which keys

CCOMP_HD constexpr int level_shift(int level) { return level == 0 ? 19 : level == 1 ? 9 : 0; }
CCOMP_HD constexpr std::uint32_t level_bins(int level) {
  return level == 0 ? 1u << 12 : level == 1 ? 1u << 10 : 1u << 9;
}
CCOMP_HD constexpr std::uint32_t level_begin(int level) { return level == 0 ? 0 : level == 1 ? 4096 : 5120; }
inline constexpr std::uint32_t all_bins = 5632, most_bins = 4096;

/// Before anything is known but for a bound that the stage says.
__device__ inline void begin_selection(selection_call const& k, select_state& s) {
  s = {};
  s.low = k.what.value > 0 ? magnitude_key(k.what.value) - 1 : 0;
  s.inside = static_cast<std::uint32_t>(k.what.n);
  s.kept = static_cast<std::uint32_t>(k.what.kept);
}
template <class = void> __global__ void __launch_bounds__(vector_threads) start_selection(selection_call k) {
  auto* const bins = k.bins.mine();
  if (bins)
    for (unsigned b = threadIdx.x; b < all_bins; b += vector_threads) bins[b] = 0;
  if (threadIdx.x == 0) begin_selection(k, *k.state.mine());
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
__device__ void narrow_keys(selection_call const& k, int level, BinOf const& bin_of, select_state& s) {
  unsigned const each = level_bins(level) / vector_threads, first = (vector_threads - 1 - threadIdx.x) * each;
  std::uint32_t const wanted = static_cast<std::uint32_t>(k.what.kept) - s.above, inside = s.inside;
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
  if (level == 0) s.pooled = std::uint64_t{s.above} + here <= k.room;
  if (level == 2) s.ties = static_cast<std::uint32_t>(k.what.kept) - s.above;
}
/// The same by the last block to arrive.
__device__ inline void narrow_if_last(selection_call const& k, int level, std::uint32_t const* all, select_state& s) {
  if (!arrives_last(&s.arrived[level], gridDim.x)) return;
  auto const* const bins = all + level_begin(level);
  narrow_keys(
      k, level, [bins](unsigned b) { return __ldcg(bins + b); }, s);
}

/// Counts keys of the pool, or else of the input.
template <class = void>
__global__ void __launch_bounds__(vector_threads, 2) histogram_kernel(selection_call k, int level) {
  CCOMP_SHARED(std::uint32_t[most_bins], bins);
  vector_source source = k.source.mine();
  select_state& s = *k.state.mine();
  if (level > 0 && s.pooled) {
    source = {};
    source.in = {k.pool_value.mine(), element_type::float32};
    source.n = s.pool_used;
  }
  std::uint32_t const known = s.low;
  clear_bins(bins, level);
  std::uint64_t const step = std::uint64_t{gridDim.x} * vector_warps * select_values;
  for (std::uint64_t base = (std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32) * select_values;
       base < source.n; base += step) {
    tile_place const at = source.place(base);
    warp_tile<select_team> x;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) source.load(at, r, x.v[r]);
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) count_keys(x.v[r], level, known, bins);
  }
  auto* const all = k.bins.mine();
  flush_bins(bins, level, all);
  narrow_if_last(k, level, all, s);
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
template <class = void> __global__ void __launch_bounds__(vector_threads, 2) gather_kernel(selection_call k) {
  CCOMP_SHARED(std::uint32_t[level_bins(1)], bins);
  vector_source const source = k.source.mine();
  select_state& s = *k.state.mine();
  bool const pooled = s.pooled != 0;
  std::uint32_t const known = s.low;
  clear_bins(bins, 1);
  std::uint64_t const step = std::uint64_t{gridDim.x} * vector_warps;
  for (std::uint64_t tile = std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32;
       tile * select_values < source.n; tile += step) {
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
          if ((mine >> c & 1u) != 0 && place < k.room) {
            k.pool_index.mine()[place] = static_cast<std::uint32_t>(at.index(r) + c);
            k.pool_value.mine()[place] = x.v[r][c];
          }
        }
        row_start += row.total;
      }
    }
    if (at.lane == 0) k.tiles.mine()[tile] = {start, count};
    if (source.residual.data) {
      CCOMP_UNROLL
      for (int r = 0; r < select_team::rows; ++r) source.leave(at, r, x.v[r]);
    }
  }
  auto* const all = k.bins.mine();
  flush_bins(bins, 1, all);
  narrow_if_last(k, 1, all, s);
}

// ---- a bound relative to the root mean square

inline constexpr std::uint64_t norm_values = 4096;
/// Squares of tiles as the host sums them; the last block finds the bound.
template <class = void> __global__ void __launch_bounds__(vector_threads) norm_kernel(selection_call k) {
  CCOMP_SHARED(double[row_values], sums);
  CCOMP_SHARED(std::uint32_t[vector_warps], keys);
  vector_source const source = k.source.mine();
  select_state& s = *k.state.mine();
  auto* const norms = k.norms.mine();
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

  std::uint64_t const tiles = ceil_div(source.n, norm_values);
  std::uint32_t largest = 0;
  double sum = 0;
  for (std::uint64_t t = threadIdx.x; t < tiles; t += vector_threads) {
    std::uint32_t const key = __ldcg(&norms[t].largest);
    largest = key > largest ? key : largest;
  }
  if (threadIdx.x < row_values) {
    for (std::uint64_t t = threadIdx.x; t < tiles; t += row_values) sum = add(sum, __ldcg(&norms[t].squares));
    sums[threadIdx.x] = sum;
  }
  largest = __reduce_max_sync(full_warp, largest);
  if (threadIdx.x % 32 == 0) keys[threadIdx.x / 32] = largest;
  for (unsigned half = row_values / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] = add(sums[threadIdx.x], sums[threadIdx.x + half]);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned w = 0; w < vector_warps; ++w) largest = keys[w] > largest ? keys[w] : largest;
  std::uint32_t const key = magnitude_key(relative_bound(k.what.relative, sums[0], source.n, bits_float(largest)));
  s.low = key > 0 ? key - 1 : 0;
}

// ---- the result

/// How many values lie above the key, and how many equal it: two counts as one number, so that they are summed together.
__device__ inline unsigned long long pair_of(unsigned above, unsigned ties) {
  return above | static_cast<unsigned long long>(ties) << 32;
}
/// Where a bound that more values reach than fit begins to keep them.
__device__ inline std::uint64_t start_place(vector_source const& source) {
  return hash64(hash64(0, source.random.now()), source.random.tensor) % source.n;
}
/// Decides which are kept of `found` values that reach the bound; `split` of them stand before the start.
__device__ inline void settle_reaching(selection_call const& k, std::uint32_t found, std::uint32_t split,
                                       select_state& s) {
  std::uint32_t const most = s.kept;
  if (found > most) {  // the first from the start on, going on at the front
    s.split = split;
    s.head = std::uint64_t{split} + most > found ? static_cast<std::uint32_t>(std::uint64_t{split} + most - found) : 0;
  } else {
    s.kept = found;
  }
  auto* const header = k.header.mine();
  header[0] = s.kept;
  header[1] = found - s.kept;
}
/// Writes value i if it is kept: `above` and `ties` such values come before it.
__device__ inline void keep_value(selection_call const& k, select_state const& s, bool is_above, bool is_tie,
                                  std::uint32_t above, std::uint32_t ties, std::uint64_t i, float v) {
  if (!is_above && !(is_tie && ties < s.ties)) return;
  std::uint32_t const rank = above + (ties < s.ties ? ties : s.ties);
  std::uint32_t const place = rank < s.head ? rank : rank - s.split + s.head;
  if ((rank >= s.head && rank < s.split) || place >= s.kept) return;
  k.index.mine()[place] = static_cast<std::uint32_t>(i);
  k.carrier.mine()[place] = v;
}
/// Writes what is kept of a row, and goes on to the next.
__device__ inline void keep_row(selection_call const& k, select_state const& s, tile_place const& at, int r,
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
    keep_value(k, s, (larger >> c & 1u) != 0, (equal >> c & 1u) != 0,
               above + row.before + static_cast<unsigned>(__popc(larger & lower)),
               ties + row_equal.before + static_cast<unsigned>(__popc(equal & lower)), at.index(r) + c, v[c]);
  }
  above += row.total;
  ties += row_equal.total;
}

/// A lane's share of what a tile holds.
struct tile_counts {
  unsigned above = 0, ties = 0, before_start = 0;

  __device__ void add(float v, std::uint32_t low, bool early) {
    std::uint32_t const key = magnitude_key(v);
    above += key > low;
    ties += key == low;
    before_start += key > low && early;
  }
  /// Of the whole warp.
  __device__ tile_counts sum() const {
    tile_counts all;
    all.above = __reduce_add_sync(full_warp, above);
    all.ties = __reduce_add_sync(full_warp, ties);
    all.before_start = __reduce_add_sync(full_warp, before_start);
    return all;
  }
};

/// Counts each tile's values that are kept for sure, and its ties; the last block finds where all of them go.
template <class = void> __global__ void __launch_bounds__(vector_threads) count_kernel(selection_call k) {
  CCOMP_SHARED(unsigned long long[vector_warps], counts);
  vector_source const source = k.source.mine();
  select_state& s = *k.state.mine();
  bool const reaching = k.what.kind == selection_kind::reaching;
  std::uint64_t const start = reaching ? start_place(source) : 0;
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + warp;
  tile_counts here;
  if (tile * select_values < source.n) {
    if (s.pooled) {
      pool_tile const t = k.tiles.mine()[tile];
      auto const* const value = k.pool_value.mine() + t.start;
      for (unsigned j = lane; j < t.count; j += 32) here.add(value[j], s.low, false);
    } else {
      tile_place const at = source.place(tile * select_values);
      CCOMP_UNROLL
      for (int r = 0; r < select_team::rows; ++r) {
        float v[4];
        source.load(at, r, v);
        CCOMP_UNROLL
        for (unsigned c = 0; c < 4; ++c)
          if (c < at.count(r)) here.add(v[c], s.low, at.index(r) + c < start);
      }
    }
    here = here.sum();
    if (lane == 0) {
      k.counts.mine()[tile] = pair_of(here.above, here.ties);
      if (reaching && tile == start / select_values) s.split = here.before_start;
    }
  }
  if (lane == 0) counts[warp] = pair_of(here.above, here.ties);
  __syncthreads();
  auto* const totals = k.totals.mine();
  if (threadIdx.x == 0) {
    unsigned long long total = 0;
    for (unsigned w = 0; w < vector_warps; ++w) total += counts[w];
    totals[blockIdx.x] = total;
  }
  if (!arrives_last(&s.arrived[4], gridDim.x)) return;

  auto const found = static_cast<std::uint32_t>(scan_array(totals, gridDim.x));
  __syncthreads();
  if (threadIdx.x != 0 || !reaching) return;
  std::uint64_t const middle = start / select_values, block = middle / vector_warps;
  auto split = static_cast<std::uint32_t>(totals[block]) + s.split;
  for (std::uint64_t t = block * vector_warps; t < middle; ++t)
    split += static_cast<std::uint32_t>(__ldcg(k.counts.mine() + t));
  s.split = 0;
  settle_reaching(k, found, split, s);
}

/// Writes what is kept, in the order of the input.
template <class = void> __global__ void __launch_bounds__(vector_threads, 2) keep_kernel(selection_call k) {
  vector_source const source = k.source.mine();
  select_state const s = *k.state.mine();
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::uint64_t const tile = std::uint64_t{blockIdx.x} * vector_warps + warp;
  if (tile * select_values >= source.n) return;
  auto const* const counts = k.counts.mine();
  unsigned long long before = k.totals.mine()[blockIdx.x];
  for (unsigned w = 0; w < warp; ++w) before += counts[tile - warp + w];
  auto above = static_cast<std::uint32_t>(before), ties = static_cast<std::uint32_t>(before >> 32);
  unsigned long long const here = counts[tile];
  bool const any = static_cast<std::uint32_t>(here) > 0 || (here >> 32 > 0 && ties < s.ties);
  if (s.pooled) {
    if (!any) return;
    pool_tile const t = k.tiles.mine()[tile];
    auto const* const index = k.pool_index.mine() + t.start;
    auto const* const value = k.pool_value.mine() + t.start;
    unsigned const lower = (1u << lane) - 1u;
    for (unsigned j = 0; j < t.count; j += 32) {
      bool const inside = j + lane < t.count;
      float const v = inside ? value[j + lane] : 0.0f;
      bool const is_above = inside && magnitude_key(v) > s.low, is_tie = inside && magnitude_key(v) == s.low;
      unsigned const all_above = __ballot_sync(full_warp, is_above), all_ties = __ballot_sync(full_warp, is_tie);
      keep_value(k, s, is_above, is_tie, above + static_cast<unsigned>(__popc(all_above & lower)),
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
    keep_row(k, s, at, r, v, above, ties);
    if (source.residual.data) source.leave(at, r, v);
  }
}

/// What one thread block can hold.
inline constexpr std::uint64_t block_values = select_values * vector_warps;

/// All of it for up to `block_values` values, which are read once: small tensors wait for launches, not for memory.
/// A relative bound has been found before.
template <class = void> __global__ void __launch_bounds__(vector_threads, 2) select_kernel(selection_call k) {
  CCOMP_SHARED(std::uint32_t[most_bins], bins);
  CCOMP_SHARED(unsigned long long[vector_warps], counts);
  CCOMP_SHARED(select_state, s);
  vector_source const source = k.source.mine();
  unsigned const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  bool const reaching = k.what.kind == selection_kind::reaching;
  tile_place const at = source.place(warp * select_values);
  warp_tile<select_team> x;
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) source.load(at, r, x.v[r]);
  if (threadIdx.x == 0) {
    begin_selection(k, s);
    if (reaching && !(k.what.value > 0)) s.low = k.state.mine()->low;
  }
  __syncthreads();
  for (int level = 0; level < 3 && !reaching; ++level) {
    clear_bins(bins, level);
    std::uint32_t const known = s.low;
    CCOMP_UNROLL
    for (int r = 0; r < select_team::rows; ++r) count_keys(x.v[r], level, known, bins);
    __syncthreads();
    narrow_keys(
        k, level, [&](unsigned b) { return bins[b]; }, s);
    __syncthreads();
  }

  std::uint64_t const first = reaching ? start_place(source) : 0;
  tile_counts here;
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (c < at.count(r)) here.add(x.v[r][c], s.low, at.index(r) + c < first);
  }
  here = here.sum();
  if (lane == 0) {
    counts[warp] = pair_of(here.above, here.ties);
    bins[warp] = here.before_start;
  }
  __syncthreads();
  if (reaching && threadIdx.x == 0) {
    std::uint32_t found = 0, split = 0;
    for (unsigned w = 0; w < vector_warps; ++w) {
      found += static_cast<std::uint32_t>(counts[w]);
      split += bins[w];
    }
    settle_reaching(k, found, split, s);
    *k.state.mine() = s;
  }
  __syncthreads();
  unsigned long long before = 0;
  for (unsigned w = 0; w < warp; ++w) before += counts[w];
  auto above = static_cast<std::uint32_t>(before), ties = static_cast<std::uint32_t>(before >> 32);
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    keep_row(k, s, at, r, x.v[r], above, ties);
    if (source.residual.data) source.leave(at, r, x.v[r]);
  }
}

}  // namespace detail
CCOMP_END
