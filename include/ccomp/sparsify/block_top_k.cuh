#pragma once
/// block_top_k on GPUs.

#include <ccomp/sparsify/block_top_k.hpp>
#include <ccomp/sparsify/selected.cuh>

CCOMP_BEGIN
namespace detail {

/// A thread's values: four groups of four neighbours. A thread block sees to one tile, block / 16 of its threads to each
/// block.
inline constexpr unsigned quads_each = 4, values_each = 4 * quads_each;
static_assert(vector_threads * values_each == tile_values);

/// Counts of all threads of a team, which has a power of two of them.
class team_count {
 public:
  __device__ explicit team_count(unsigned team) : team_(team) {}

  /// True in all threads of the thread block once `ended` was true in all of them in the last round.
  template <class Sums> __device__ bool sum(unsigned mine, bool ended, Sums& sums, unsigned& total) {
    for (unsigned d = 1; d < 32 && d < team_; d *= 2) mine += __shfl_xor_sync(full_warp, mine, static_cast<int>(d));
    total = mine;
    if (team_ <= 32) return __all_sync(full_warp, ended);
    auto& row = sums[round_++ % 2];  // a slow thread may still read the other one
    if (threadIdx.x % 32 == 0) row[threadIdx.x / 32] = mine;
    bool const all = __syncthreads_and(ended);
    unsigned const warps = team_ / 32, first = threadIdx.x / team_ * warps;
    total = 0;
    for (unsigned w = 0; w < warps; ++w) total += row[first + w];
    return all;
  }

 private:
  unsigned team_, round_ = 0;
};

/// The `count` largest of each block: their places and values, by index.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    select_in_blocks(vector_source items, unsigned block, unsigned count, per_item<std::uint32_t> index,
                     per_item<float> carrier) {
  CCOMP_SHARED(unsigned[2][vector_warps], sums);
  CCOMP_SHARED(unsigned[vector_threads], starts);
  vector_source const source = items.mine();
  unsigned const team = block / values_each, member = threadIdx.x % team, lead = threadIdx.x - member;
  std::uint64_t const first = std::uint64_t{blockIdx.x} * tile_values + lead * values_each;
  auto const size = static_cast<unsigned>(first >= source.n ? 0 : source.n - first < block ? source.n - first : block);
  unsigned const wanted = size < count ? size : count;
  auto const place_of = [&](unsigned q) { return first + 4 * (q * team + member); };

  float v[quads_each][4];
  CCOMP_UNROLL
  for (unsigned q = 0; q < quads_each; ++q) {
    std::uint64_t const i = place_of(q);
    source.load(quad_place(i, source.n), quad_row(i), v[q]);  // zeros behind the end: they rank behind all others
    if (source.residual.data) source.leave(quad_place(i, source.n), quad_row(i), v[q]);
  }
  // Bit by bit, the largest key that `wanted` values reach; a bound that just so many reach will do as well.
  std::uint32_t low = 0;
  bool ended = false;
  team_count counts(team);
  for (std::uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    std::uint32_t const bound = low | bit;
    unsigned mine = 0, reaching;
    CCOMP_UNROLL
    for (unsigned q = 0; q < quads_each; ++q) {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c) mine += magnitude_key(v[q][c]) >= bound ? 1u : 0u;
    }
    if (counts.sum(mine, ended, sums, reaching)) break;
    if (reaching >= wanted) low = bound;
    ended = ended || reaching == wanted;
  }

  // Places follow the quads, then the threads: above | ties << 16, before the thread's and of the whole team.
  unsigned before[quads_each], total[quads_each], above = 0;
  CCOMP_UNROLL
  for (unsigned q = 0; q < quads_each; ++q) {
    unsigned mine = 0;
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c) {
      std::uint32_t const key = magnitude_key(v[q][c]);
      mine += (key > low ? 1u : 0u) + (key == low ? 1u << 16 : 0u);
    }
    auto const p = scan_block(mine);
    starts[threadIdx.x] = p.before;
    __syncthreads();
    unsigned const begin = starts[lead], end = lead + team < vector_threads ? starts[lead + team] : p.total;
    before[q] = p.before - begin;
    total[q] = end - begin;
    above += total[q] & 0xffffu;
  }
  unsigned const ties = wanted - above;
  std::uint64_t const entry = first / block * count;
  unsigned above_before = 0, ties_before = 0;
  CCOMP_UNROLL
  for (unsigned q = 0; q < quads_each; ++q) {
    unsigned a = above_before + (before[q] & 0xffffu), t = ties_before + (before[q] >> 16);
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c) {
      std::uint32_t const key = magnitude_key(v[q][c]);
      if (key > low || (key == low && t < ties)) {
        std::uint64_t const to = entry + a + (t < ties ? t : ties);
        index.mine()[to] = static_cast<std::uint32_t>(place_of(q) + c);
        carrier.mine()[to] = v[q][c];
      }
      a += key > low ? 1u : 0u;
      t += key == low ? 1u : 0u;
    }
    above_before += total[q] & 0xffffu;
    ties_before += total[q] >> 16;
  }
}

}  // namespace detail

template <> struct device_stage<block_top_k> {
  template <class Queue>
  static void encode(block_top_k const& s, Queue const& q, detail::fused_encode_call const& c,
                     detail::carrier_coder const& coder) {
    auto const count = static_cast<unsigned>(s.per_block());
    auto const find = [&](Queue const& queue, per_item<std::uint32_t> index) {
      queue.run("select_in_blocks", detail::select_in_blocks<Queue>, detail::ceil_div(c.n, detail::tile_values),
                c.items, c.in, unsigned{s.block}, count, index, c.carrier);
      return detail::entry_count{s.carrier_size(c.n), {}};
    };
    detail::encode_found(q, c, s.carrier_size(c.n), s.layout(c.n), 0, coder, find);
  }
  template <class Queue>
  static void decode(block_top_k const& s, Queue const& q, detail::fused_decode_call const& c,
                     detail::carrier_coder const& coder) {
    detail::decode_selected(q, c, s.carrier_size(c.n), s.layout(c.n), 0, coder);
  }
};

CCOMP_END
