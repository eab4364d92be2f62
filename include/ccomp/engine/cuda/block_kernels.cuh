#pragma once
/// The five passes of a chain that ends in a quantizer, a cast or raw values: one kernel each, one trip through memory,
/// a warp for each tile. `Transformed`: the chain has transforms, or may have them; they are a third to a half of a kernel.

#include <ccomp/engine/cuda/block_call.cuh>
#include <ccomp/engine/cuda/residual.cuh>

CCOMP_BEGIN
namespace detail {

inline constexpr unsigned warps_per_block = 4;

template <class Team> __device__ tile_place place_of(block_part const& p) {
  unsigned const warp = threadIdx.x / 32;
  std::uint64_t const team = Team::warps == 1 ? std::uint64_t{blockIdx.x} * warps_per_block + warp : blockIdx.x;
  unsigned const member = Team::warps == 1 ? 0 : warp;
  std::uint64_t const first = team * Team::team_values;
  return {first, first + member * Team::warp_values, p.n, member, threadIdx.x % 32};
}

/// v += decay * residual, of a row.
__device__ inline void add_residual(block_part const& p, block_coding const& how, tile_place const& at, int r,
                                    float (&v)[4]) {
  add_residual(p.residual, how.decay, at, r, v);
}
/// x + decay * residual, of a row.
template <bool Feedback>
__device__ inline void load_input(block_part const& p, block_coding const& how, tile_place const& at, int r,
                                  float (&v)[4]) {
  load_quad(p.in, at.index(r), at.n, v);
  if constexpr (Feedback) add_residual(p, how, at, r, v);
}
__device__ inline void store_residual(block_part const& p, block_coding const& how, tile_place const& at, int r,
                                      float (&left)[4], unsigned mask) {
  store_residual(p.residual, how.random, how.phase, p.first, at, r, left, mask);
}
/// residual = v - decoded, where that is finite.
__device__ inline void update_residual(block_part const& p, block_coding const& how, tile_place const& at, int r,
                                       float const (&v)[4], float const (&decoded)[4]) {
  float left[4];
  unsigned mask = 0;
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) {
    auto const each = left_out(v[c], decoded[c]);
    left[c] = each.value;
    if (each.counts) mask |= 1u << c;
  }
  store_residual(p, how, at, r, left, mask);
}

/// The same for a tile of decoded values. The sum is formed once more, from the cache: two tiles would not fit the
/// registers.
template <class Team>
__device__ void update_from_decoded(block_part const& p, block_coding const& how, tile_place const& at,
                                    warp_tile<Team> const& decoded) {
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float v[4];
    load_input<true>(p, how, at, r, v);
    update_residual(p, how, at, r, v, decoded.v[r]);
  }
}
/// The same for a tile that was coded: x is what the coder saw, behind the transforms, and is used up.
template <bool Transformed, class Coder, class Team>
__device__ void update_from_codes(Coder const& coder, block_part const& p, block_coding const& how,
                                  tile_place const& at, warp_tile<Team>& x, typename Coder::coded const& c) {
  if constexpr (Transformed)
    if (how.transforms.count > 0) {
      CCOMP_UNROLL
      for (int r = 0; r < Team::rows; ++r) coder.decode_row(p.layout, c, r, x.v[r]);
      transform_inverse(how.transforms, how.random, p.first, at, x);
      return update_from_decoded(p, how, at, x);
    }
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float decoded[4];
    coder.decode_row(p.layout, c, r, decoded);
    update_residual(p, how, at, r, x.v[r], decoded);
  }
}

template <class Coder, class Team, bool Transformed, bool Feedback>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    encode_kernel(Coder coder, block_encode_call call) {
  block_part const p = part_of(call);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  warp_tile<Team> x;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) load_input<Feedback>(p, call.how, at, r, x.v[r]);
  if constexpr (Transformed) transform_forward(call.how.transforms, call.how.random, p.first, at, x);
  typename Coder::coded c;
  coder.encode(p.layout, call.how.random, p.first, call.how.phase, at, x, c);
  coder.store(p.layout, at, c, p.payload);
  if constexpr (Feedback) update_from_codes<Transformed>(coder, p, call.how, at, x, c);
}

/// Sums the payloads in their order, in the domain of the codes.
template <class Coder, class Team>
__device__ void sum_sources(Coder const& coder, block_layout const& l, payload_sum const& sum, std::byte const* sources,
                            tile_place const& at, bool onto, warp_tile<Team>& x) {
  typename Coder::coded c;
  for (int s = 0; s < sum.count; ++s) {
    coder.load(l, at, sources + static_cast<std::uint64_t>(s) * sum.stride, c);
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r)
      if (s == 0 && !onto)
        coder.decode_row(l, c, r, x.v[r]);
      else
        coder.add_row(l, c, r, x.v[r]);
  }
}

template <class Coder, class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    decode_kernel(Coder coder, block_sum_call call) {
  block_part const p = part_of(call);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  bool const mixed = Transformed && call.how.transforms.count > 0, onto = call.sum.add_to_out && !mixed;
  warp_tile<Team> x;
  if (onto) {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) load_quad(p.out, at.index(r), at.n, x.v[r]);
  }
  sum_sources(coder, p.layout, call.sum, sources_of(call), at, onto, x);
  if constexpr (Transformed) transform_inverse(call.how.transforms, call.how.random, p.first, at, x);
  if (call.sum.add_to_out && mixed) {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      float old[4];
      load_quad(p.out, at.index(r), at.n, old);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) x.v[r][c] = add(x.v[r][c], old[c]);
    }
  }
  // A payload's own values have one kind of NaN; what arithmetic makes of them has another.
  bool const finish =
      call.sum.count > 1 || call.sum.divisor != 1.0f || call.sum.add_to_out || mixed || p.layout.prescale != 1.0f;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    if (finish) finish_sum(x.v[r], call.sum.divisor);
    store_quad(p.out, at.index(r), at.n, x.v[r]);
  }
}

/// The owner's half of two_shot: sums the payloads of one chunk, encodes the sum, adds what that leaves out to the
/// residual.
template <class Coder, class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    reduce_kernel(Coder coder, block_sum_call call) {
  block_part p = part_of(call);
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  warp_tile<Team> x;
  float const prescale = p.layout.prescale;
  p.layout.prescale = 1;
  sum_sources(coder, p.layout, call.sum, sources_of(call), at, false, x);
  p.layout.prescale = prescale;
  typename Coder::coded c;
  coder.encode(p.layout, call.how.random, p.first, call.how.phase, at, x, c);
  coder.store(p.layout, at, c, p.payload);
  if (!p.residual.data) return;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float decoded[4];
    coder.decode_row(p.layout, c, r, decoded);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) {
      auto const left = left_out(x.v[r][j], decoded[j]);
      x.v[r][j] = left.counts ? left.value : 0.0f;  // a bad block leaves no error behind
    }
  }
  if constexpr (Transformed) transform_inverse(call.how.transforms, call.how.random, p.first, at, x);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float next[4];
    load_quad(p.residual, at.index(r), at.n, next);
    unsigned mask = 0;
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) {
      next[j] = add(next[j], x.v[r][j]);
      if (is_finite(next[j])) mask |= 1u << j;
    }
    store_residual(p, call.how, at, r, next, mask);
  }
}

}  // namespace detail
CCOMP_END
