#pragma once
/// The input of a vector stage, with error feedback: x, or x + decay * residual, and what the residual becomes.

#include <ccomp/engine/cuda/block_scan.cuh>
#include <ccomp/engine/cuda/residual.cuh>

CCOMP_BEGIN
namespace detail {

/// A warp's tile.
using select_team = team_shape<8, 1>;
inline constexpr std::uint64_t select_values = select_team::warp_values;

/// A thread block for every so many tiles.
inline std::uint64_t tile_blocks(std::uint64_t n) { return ceil_div(n, select_values * vector_warps); }

/// The row and lane that values i to i + 3 belong to, where i is a multiple of four: it decides their random bits.
__device__ inline tile_place quad_place(std::uint64_t i, std::uint64_t n) {
  std::uint64_t const base = i / random_group * random_group;
  return {base, base, n, 0, static_cast<unsigned>(i % row_values) / 4};
}
__device__ inline int quad_row(std::uint64_t i) { return static_cast<int>(i % random_group / row_values); }

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
    float left[4];
    unsigned finite = 0;
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      left[c] = v[c];
      if (is_finite(v[c])) finite |= 1u << c;
    }
    store_residual(residual, random, phase, first, at, r, left, finite);
  }
};

/// Where sums of items go: at the end they are divided, and NaNs made alike, unless transforms are undone first.
struct sum_output {
  device_values out{};
  std::uint64_t stride = 0;  // from one item to the next, values
  bool finish = true;
  float divisor = 1;
  bool add_to_out = false;
};

/// leave:  the residual becomes the sum with the input, as if nothing were sent
/// copy:   `values` becomes that sum
/// settle: the residual becomes that sum less `values`
/// add:    the residual becomes its sum with `values`
enum class residual_update { leave, copy, settle, add };

CCOMP_KERNEL __launch_bounds__(vector_threads)
    residual_kernel(vector_source items, residual_update update, float* values) {
  vector_source const source = items.mine();
  std::uint64_t const base = (std::uint64_t{blockIdx.x} * vector_warps + threadIdx.x / 32) * select_values;
  if (base >= source.n) return;
  tile_place const at = source.place(base);
  device_values const other = advanced({values, element_type::float32}, blockIdx.y * source.n);
  CCOMP_UNROLL
  for (int r = 0; r < select_team::rows; ++r) {
    float v[4], term[4];
    if (update == residual_update::add)
      load_quad(source.residual, at.index(r), at.n, v);
    else
      source.load(at, r, v);
    if (update == residual_update::copy) {
      store_quad(other, at.index(r), at.n, v);
      continue;
    }
    if (update == residual_update::settle || update == residual_update::add) {
      load_quad(other, at.index(r), at.n, term);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) {
        // What is not finite is not stored.
        v[c] = update == residual_update::add ? add(v[c], term[c])
               : is_finite(v[c])              ? add_signed(v[c], -1.0f, term[c])
                                              : v[c];
      }
    }
    source.leave(at, r, v);
  }
}

}  // namespace detail
CCOMP_END
