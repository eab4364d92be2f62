#pragma once
/// What the kernels of a selection are given: the input, what is known so far, and room for the result.

#include <ccomp/engine/cuda/block_scan.cuh>
#include <ccomp/engine/cuda/residual.cuh>
#include <ccomp/engine/cuda/status.cuh>
#include <ccomp/sparsify/selection.hpp>

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
  std::uint32_t only_bad;           // of more values than fit, those that are not finite are kept
  unsigned long long early;         // of the tile where an overflow begins to keep: counts before that place
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
  device_status* status = nullptr;
};

}  // namespace detail
CCOMP_END
