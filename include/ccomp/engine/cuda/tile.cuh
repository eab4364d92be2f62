#pragma once
/// A tile: rows of 128 values in registers, four neighbours a lane. A team of one warp holds blocks of up to 512
/// values and mixes them (statistics, rotations) by shuffles alone; a team of four holds 4096, and meets in shared
/// memory.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/random.hpp>
#include <ccomp/core/statistic.hpp>
#include <ccomp/engine/cuda/values.cuh>

#include <cstring>

CCOMP_BEGIN
namespace detail {

inline constexpr unsigned full_warp = 0xffffffffu;
/// A lane's four values of every row belong to four of the partial sums.
inline constexpr unsigned row_values = partial_sums;
static_assert(2 * row_values == random_group && 32 == random_group_counters, "two rows share a lane's counter");

/// `Rows` rows a warp, `Warps` warps a team: 1, or all of a thread block.
template <int Rows, int Warps> struct team_shape {
  static constexpr int rows = Rows, warps = Warps;
  /// Thread blocks of 128 that a multiprocessor must hold: few enough that no kernel spills registers.
  static constexpr int least_blocks = Rows > 4 ? 2 : 4;
  static constexpr std::uint64_t warp_values = Rows * row_values, team_values = Warps * warp_values;
};

/// One warp's part.
template <class Team> struct warp_tile {
  float v[Team::rows][4];
};

/// Where a lane stands: its team's tile starts at `team`, its warp's part at `base`; value (row r, c) of the lane is
/// number index(r) + c of n.
struct tile_place {
  std::uint64_t team, base, n;
  unsigned warp, lane;  // warp: within the team

  __device__ std::uint64_t index(int row) const { return base + static_cast<unsigned>(row) * row_values + 4 * lane; }
  /// How many of the lane's four values in this row lie below n.
  __device__ unsigned count(int row) const {
    std::uint64_t const i = index(row);
    return i >= n ? 0 : n - i < 4 ? static_cast<unsigned>(n - i) : 4;
  }
};

/// T's words, swapped with the lane that differs in the bits of `mask`.
template <class T> __device__ T shuffle_xor(T const& x, int mask) {
  static_assert(sizeof(T) % 4 == 0 && std::is_trivially_copyable_v<T>);
  std::uint32_t words[sizeof(T) / 4];
  memcpy(words, &x, sizeof(T));
  CCOMP_UNROLL
  for (auto& w : words) w = __shfl_xor_sync(full_warp, w, mask);
  T y;
  memcpy(&y, words, sizeof(T));
  return y;
}

// ---- statistics: a lane collects row by row; `finish` joins the lanes of a block, which all get the result.

/// Order-free statistics are exact in any order.
template <class S> struct lane_statistic {
  S s{};
  __device__ void add_row(float const (&v)[4], unsigned count) {
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (c < count) s.add(v[c]);
  }
  __device__ S finish(unsigned lanes) const {
    S all = s;
    for (unsigned d = lanes / 2; d > 0; d /= 2) all.merge(shuffle_xor(all, static_cast<int>(d)));
    return all;
  }
};

/// Sums: value i belongs to partial sum i mod 128, which is this lane's number c; the halving tree goes over lanes
/// first (64, 32, ... 4 apart), then over the lane's own four. Both sides of a pair add the same two numbers, so every
/// lane ends with the bits that the host's loop gives.
template <class S>
requires requires { typename S::partial; }
struct lane_statistic<S> {
  typename S::partial p[S::sums][4]{};
  __device__ void add_row(float const (&v)[4], unsigned count) {
    CCOMP_UNROLL
    for (int t = 0; t < S::sums; ++t) {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c)
        if (c < count) p[t][c] = add(p[t][c], S::term(t, v[c]));
    }
  }
  __device__ S finish(unsigned lanes) const {
    S all;
    CCOMP_UNROLL
    for (int t = 0; t < S::sums; ++t) {
      typename S::partial q[4];
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) q[c] = p[t][c];
      for (unsigned d = lanes / 2; d > 0; d /= 2) {
        CCOMP_UNROLL
        for (int c = 0; c < 4; ++c) q[c] = add(q[c], shuffle_xor(q[c], static_cast<int>(d)));
      }
      all.sum[t] = add(add(q[0], q[2]), add(q[1], q[3]));
    }
    return all;
  }
};

template <class S>
requires requires { typename S::first_statistic; }
struct lane_statistic<S> {
  lane_statistic<typename S::first_statistic> first;
  lane_statistic<typename S::second_statistic> second;
  __device__ void add_row(float const (&v)[4], unsigned count) {
    first.add_row(v, count);
    second.add_row(v, count);
  }
  __device__ S finish(unsigned lanes) const { return {first.finish(lanes), second.finish(lanes)}; }
};

// ---- random bits

/// Where random streams begin; the seed and the use come from the stage.
struct device_random {
  step at{};
  std::uint64_t tensor = 0;
  std::uint32_t rank = 0;

  /// The step, read off the device if it lives there.
  __device__ step now() const { return at.on_device ? step(*at.on_device) : at; }
  __device__ random_stream stream(std::uint64_t seed, std::uint32_t for_rank, random_use use,
                                  std::uint8_t phase) const {
    return {{seed, now()}, tensor, for_rank, random_phase(use, phase)};
  }
};

/// The 16 random bits of a lane's values in two rows that share counters: `first` is the number of the first row's
/// value 0 in its tensor, a multiple of random_group.
struct random_rows {
  philox_words words{};
  random_rows() = default;
  __device__ random_rows(random_stream const& s, std::uint64_t first, unsigned lane)
      : words(random_words(s, first / random_group * random_group_counters + lane)) {}
  __device__ std::uint32_t bits(int row, int c) const { return words.w[c] >> (16 * (row & 1)) & 0xffffu; }
};

}  // namespace detail
CCOMP_END
