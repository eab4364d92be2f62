#pragma once
/// Error feedback on a tile: the residual joins the input, and what was not sent goes back to it.

#include <ccomp/core/residual.hpp>
#include <ccomp/engine/cuda/tile.cuh>

CCOMP_BEGIN
namespace detail {

/// v += decay * residual, of a row.
__device__ inline void add_residual(device_values const& residual, float decay, tile_place const& at, int r,
                                    float (&v)[4]) {
  float old[4];
  load_quad(residual, at.index(r), at.n, old);
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) v[c] = with_residual(v[c], decay, old[c]);
}
/// Stores a row of the residual where `mask` allows; bfloat16 by stochastic rounding. `first`: the number of value 0 in
/// its tensor.
__device__ inline void store_residual(device_values const& residual, device_random const& random, std::uint8_t phase,
                                      std::uint64_t first, tile_place const& at, int r, float (&left)[4],
                                      unsigned mask) {
  if (residual.type == element_type::bfloat16) {
    random_stream const stream = random.stream(0, random.rank, use_residual, phase);
    random_rows const bits(stream, first + at.base + static_cast<unsigned>(r) / 2 * 2 * row_values, at.lane);
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c)
      left[c] = bits_float(std::uint32_t{stochastic_bfloat16(left[c], bits.bits(r, c))} << 16);
  }
  store_quad(residual, at.index(r), at.n, left, mask);
}

}  // namespace detail
CCOMP_END
