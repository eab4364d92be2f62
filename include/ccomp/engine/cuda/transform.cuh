#pragma once
/// Transforms of a tile in registers: sign flips, Walsh-Hadamard rotations, scaling.

#include <ccomp/core/transform_primitive.hpp>
#include <ccomp/engine/cuda/tile.cuh>

CCOMP_BEGIN
namespace detail {

inline constexpr int most_transform_primitives = 8;

/// The primitives of all transforms of a chain, in their order.
struct device_transforms {
  int count = 0;
  transform_primitive primitives[most_transform_primitives];
};

/// How many values value i is rotated with: its block, or, in a last block that is short, a power of two
/// (pieces descend, so the highest bit that the tail's length has and the place within the tail lacks names it).
__device__ inline std::uint32_t rotated_length(std::uint64_t i, std::uint64_t n, std::uint32_t block) {
  std::uint64_t const whole = n & ~std::uint64_t{block - 1};
  if (i < whole) return block;
  if (i >= n) return 0;
  return 1u << (31 - __clz(static_cast<int>((n - whole) ^ (i - whole))));
}

/// One level: a = x[i], b = x[i + stride] become a + b and a - b, in pieces longer than the stride.
template <class Team, class Longer>
__device__ void butterfly_lanes(warp_tile<Team>& x, unsigned lane, int distance, Longer const& longer) {
  bool const upper = (lane & static_cast<unsigned>(distance)) != 0;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      float const mine = x.v[r][c], other = __shfl_xor_sync(full_warp, mine, distance);
      if (longer(r, c)) x.v[r][c] = upper ? sub(other, mine) : add(mine, other);
    }
  }
}
/// The same between warps.
template <class Team, class Longer>
__device__ void butterfly_warps(warp_tile<Team>& x, tile_place const& at, unsigned distance, Longer const& longer) {
  CCOMP_SHARED(float_quad[Team::warps * Team::rows * 32], values);
  bool const upper = (at.warp & distance) != 0;
  auto const slot = [&](unsigned warp, int r) { return (warp * Team::rows + static_cast<unsigned>(r)) * 32 + at.lane; };
  __syncthreads();  // whatever was here before has been read
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) values[slot(at.warp, r)] = {{x.v[r][0], x.v[r][1], x.v[r][2], x.v[r][3]}};
  __syncthreads();
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float_quad const other = values[slot(at.warp ^ distance, r)];
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c)
      if (longer(r, c)) x.v[r][c] = upper ? sub(other.v[c], x.v[r][c]) : add(x.v[r][c], other.v[c]);
  }
}
__device__ inline void butterfly(float& a, float& b) {
  float const sum = add(a, b);
  b = sub(a, b);
  a = sum;
}

template <class Team, class Longer>
__device__ void butterflies(warp_tile<Team>& x, tile_place const& at, std::uint32_t block, Longer const& longer) {
  CCOMP_UNROLL
  for (int stride = 1; stride < 4; stride *= 2)
    if (static_cast<std::uint32_t>(stride) < block) {
      CCOMP_UNROLL
      for (int r = 0; r < Team::rows; ++r) {
        CCOMP_UNROLL
        for (int c = 0; c < 4; ++c)
          if ((c & stride) == 0 && longer(r, c, stride)) butterfly(x.v[r][c], x.v[r][c + stride]);
      }
    }
  for (int distance = 1; distance < 32; distance *= 2)
    if (4u * static_cast<unsigned>(distance) < block)
      butterfly_lanes(x, at.lane, distance, [&](int r, int c) { return longer(r, c, 4 * distance); });
  CCOMP_UNROLL
  for (int rows = 1; rows < Team::rows; rows *= 2)
    if (static_cast<unsigned>(rows) * row_values < block) {
      CCOMP_UNROLL
      for (int r = 0; r < Team::rows; ++r) {
        CCOMP_UNROLL
        for (int c = 0; c < 4; ++c)
          if ((r & rows) == 0 && longer(r, c, rows * static_cast<int>(row_values)))
            butterfly(x.v[r][c], x.v[r + rows][c]);
      }
    }
  if constexpr (Team::warps > 1)
    for (unsigned distance = 1; distance < Team::warps; distance *= 2)
      if (distance * Team::warp_values < block)
        butterfly_warps(x, at, distance,
                        [&](int r, int c) { return longer(r, c, static_cast<int>(distance * Team::warp_values)); });
}

template <class Team> __device__ void rotate(warp_tile<Team>& x, tile_place const& at, std::uint32_t block) {
  // The question is the whole team's, since warps of a team meet at barriers.
  bool const tail = at.team + Team::team_values > (at.n & ~std::uint64_t{block - 1});
  auto const length = [&](int r, int c) {
    return tail ? rotated_length(at.index(r) + static_cast<unsigned>(c), at.n, block) : block;
  };
  butterflies(x, at, block,
              [&](int r, int c, int stride) { return !tail || length(r, c) > static_cast<std::uint32_t>(stride); });
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      std::uint32_t const m = length(r, c);
      if (m > 0)
        x.v[r][c] = mul(x.v[r][c], inverse_sqrt_of_power(31 - static_cast<std::uint32_t>(__clz(static_cast<int>(m)))));
    }
  }
}

/// Flips value i if bit i mod 32 of draw i / 32 is set. One counter serves a row: lane r draws for row r.
template <class Team>
__device__ void flip_signs(warp_tile<Team>& x, random_stream const& s, std::uint64_t first, tile_place const& at) {
  static_assert(Team::rows <= 32 && row_values == sign_group);
  philox_words const mine = random_words(s, (first + at.base) / row_values + at.lane);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    std::uint32_t word = 0;
    CCOMP_UNROLL
    for (unsigned w = 0; w < 4; ++w) {
      std::uint32_t const bits = __shfl_sync(full_warp, mine.w[w], r);
      if (at.lane / 8 == w) word = bits;
    }
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      x.v[r][c] = bits_float(float_bits(x.v[r][c]) ^ (word >> (at.lane % 8 * 4 + c) << 31));
  }
}

template <class Team>
__device__ void apply(transform_primitive const& t, bool forward, device_random const& random, std::uint64_t first,
                      tile_place const& at, warp_tile<Team>& x) {
  switch (t.kind) {
    case transform_kind::flip_signs:
      return flip_signs(x, random.stream(t.seed, shared_rank, use_signs, 0), first, at);
    case transform_kind::rotate:
      return rotate(x, at, t.block);
    default: {
      float const factor = forward ? t.factor : div(1.0f, t.factor);
      CCOMP_UNROLL
      for (int r = 0; r < Team::rows; ++r) {
        CCOMP_UNROLL
        for (int c = 0; c < 4; ++c) x.v[r][c] = mul(x.v[r][c], factor);
      }
    }
  }
}
template <class Team>
__device__ void transform_forward(device_transforms const& t, device_random const& random, std::uint64_t first,
                                  tile_place const& at, warp_tile<Team>& x) {
  for (int i = 0; i < t.count; ++i) apply(t.primitives[i], true, random, first, at, x);
}
template <class Team>
__device__ void transform_inverse(device_transforms const& t, device_random const& random, std::uint64_t first,
                                  tile_place const& at, warp_tile<Team>& x) {
  for (int i = t.count; i-- > 0;) apply(t.primitives[i], false, random, first, at, x);
}

}  // namespace detail
CCOMP_END
