#pragma once
/// What power_sgd needs on a GPU beside products of matrices: M = x + decay * residual behind the transforms, the random
/// start, the checks that decide whether the sum is finite, and P Q^T together with what is left of M.

#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/cuda/protocol.cuh>

CCOMP_BEGIN
namespace detail {

/// M as floats, zeros from n to `padded`.
template <class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    gather_kernel(block_part p, block_coding how, float* m, std::uint64_t padded) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= padded) return;
  warp_tile<Team> x;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    load_input<false>(p, how, at, r, x.v[r]);
    if (p.residual.data) add_residual(p, how, at, r, x.v[r]);
  }
  if constexpr (Transformed) transform_forward(how.transforms, how.random, p.first, at, x);
  device_values const to(m, element_type::float32);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) store_quad(to, at.index(r), padded, x.v[r]);
}

/// Q [rank][cols], four neighbours a thread; `unit`: a random word of 2^31 becomes this.
struct low_rank_start {
  std::uint32_t rank = 0, cols = 0;
  std::uint64_t seed = 0;
  float unit = 0;
  device_random random{};

  CCOMP_HD std::uint32_t groups() const { return (cols + 3) / 4; }
  CCOMP_HD std::uint64_t all_groups() const { return std::uint64_t{rank} * groups(); }
  __device__ void draw(std::uint64_t group, float (&v)[4]) const {
    random_stream const stream = random.stream(seed, shared_rank, use_start, 0);
    philox_words const words = random_words(stream, group);
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) v[c] = mul(static_cast<float>(static_cast<std::int32_t>(words.w[c])), unit);
  }
  /// Calls `f(index, c)` for the group's values that there are.
  template <class F> __device__ void for_values(std::uint64_t group, F const& f) const {
    auto const k = static_cast<std::uint32_t>(group / groups());
    std::uint32_t const j = static_cast<std::uint32_t>(group % groups()) * 4;
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c)
      if (j + c < cols) f(std::uint64_t{k} * cols + j + c, c);
  }
};
__device__ inline std::uint64_t thread_number() { return std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

CCOMP_KERNEL draw_start_kernel(low_rank_start start, float* q) {
  std::uint64_t const group = thread_number();
  if (group >= start.all_groups()) return;
  float v[4];
  start.draw(group, v);
  start.for_values(group, [&](std::uint64_t i, unsigned c) { q[i] = v[c]; });
}

/// Values from `limit` (as bits of the magnitude) on become NaN, so that every rank learns of them from the sum.
CCOMP_KERNEL limit_kernel(float const* own, float* total, std::uint64_t n, std::uint32_t limit) {
  std::uint64_t const i = thread_number();
  if (i < n) total[i] = magnitude_key(own[i]) < limit ? own[i] : canonical_nan();
}

/// The sum of squares of each row of q [rank][cols], a thread block a row; `bad` is set if a value reaches the limit.
CCOMP_KERNEL squares_kernel(float const* q, std::uint32_t cols, std::uint32_t limit, double* squares, unsigned* bad) {
  constexpr unsigned most_warps = 8;
  CCOMP_SHARED(double[most_warps], of_warp);
  float const* const row = q + std::uint64_t{blockIdx.x} * cols;
  double sum = 0;
  for (std::uint32_t j = threadIdx.x; j < cols; j += blockDim.x) {
    if (magnitude_key(row[j]) >= limit) atomicMax(bad, 1u);
    sum = add(sum, sum_squares::term(0, row[j]));
  }
  for (int d = 16; d > 0; d /= 2) sum = add(sum, __shfl_xor_sync(full_warp, sum, d));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned w = 1; w < blockDim.x / 32; ++w) sum = add(sum, of_warp[w]);
  squares[blockIdx.x] = sum;
}

/// Unless the sum is bad: the next start (rows of unit length; one that vanished is drawn anew), and the mean.
CCOMP_KERNEL finish_factor_kernel(low_rank_start start, float* q, double const* squares, unsigned const* bad,
                                  float* state, float divisor) {
  std::uint64_t const group = thread_number();
  if (group >= start.all_groups() || *bad != 0) return;
  double const length = sqrt(squares[group / start.groups()]);
  float v[4] = {}, drawn[4] = {};
  start.for_values(group, [&](std::uint64_t i, unsigned c) { v[c] = q[i]; });
  if (state) {
    if (!(length > 0)) start.draw(group, drawn);
    start.for_values(group, [&](std::uint64_t i, unsigned c) {
      state[i] = length > 0 ? static_cast<float>(static_cast<double>(v[c]) / length) : drawn[c];
    });
  }
  finish_sum(v, divisor);
  start.for_values(group, [&](std::uint64_t i, unsigned c) { q[i] = v[c]; });
}

struct low_rank_factors {
  float const* p = nullptr;      // [rows][rank]
  float const* total = nullptr;  // [rank][cols], of all ranks
  float const* own = nullptr;    // of this rank
  std::uint32_t rank = 0, cols = 0;

  /// A row of the tile of P q^T; zeros from n on.
  __device__ void product(float const* q, tile_place const& at, int r, float (&v)[4]) const {
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) v[c] = 0;
    unsigned const count = at.count(r);
    if (count == 0) return;
    // One long division a tile, and short ones from there: columns are below 2^31.
    std::uint64_t const first_row = at.base / cols;
    std::uint32_t const j =
        static_cast<std::uint32_t>(at.base - first_row * cols) + static_cast<std::uint32_t>(at.index(r) - at.base);
    std::uint32_t const column = j % cols;
    float const* const row = p + (first_row + j / cols) * rank;
    if (count == 4 && column + 4 <= cols) {
      for (std::uint32_t k = 0; k < rank; ++k) {
        float y[4];
        load_quad(device_values(q + std::uint64_t{k} * cols + column, element_type::float32), 0, 4, y);
        CCOMP_UNROLL
        for (int c = 0; c < 4; ++c) v[c] = add(v[c], mul(row[k], y[c]));
      }
      return;
    }
    // Across the end of a row, or of the tensor.
    std::uint64_t at_p[4];
    std::uint32_t at_q[4];
    CCOMP_UNROLL
    for (unsigned c = 0; c < 4; ++c) {
      unsigned const there = c < count ? c : 0;
      at_p[c] = (first_row + (j + there) / cols) * rank;
      at_q[c] = (j + there) % cols;
    }
    CCOMP_ROLLED
    for (std::uint32_t k = 0; k < rank; ++k) {
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) v[c] = add(v[c], mul(p[at_p[c] + k], q[std::uint64_t{k} * cols + at_q[c]]));
    }
  }
};

/// out = P total^T and residual = M - P own^T; NaN, and the residual as it was, if the sum is bad.
template <class Team, bool Transformed>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    expand_factors_kernel(block_part p, block_coding how, low_rank_factors f, unsigned const* bad) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  bool const good = *bad == 0;
  warp_tile<Team> x;
  // First what this rank sent, for the residual, then the sum: the same steps, once in the code.
  for (int sum = good && p.residual.data ? 0 : 1; sum < 2; ++sum) {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      f.product(sum ? f.total : f.own, at, r, x.v[r]);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) x.v[r][c] = good ? x.v[r][c] : canonical_nan();
    }
    if constexpr (Transformed) transform_inverse(how.transforms, how.random, p.first, at, x);
    if (sum == 0) update_from_decoded(p, how, at, x);
  }
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) x.v[r][c] = canonical(x.v[r][c]);
    store_quad(p.out, at.index(r), at.n, x.v[r]);
  }
}

/// `bad` is set if a value reaches the limit.
CCOMP_KERNEL find_bad_kernel(float const* x, std::uint64_t n, std::uint32_t limit, unsigned* bad) {
  std::uint64_t const i = thread_number();
  if (i < n && magnitude_key(x[i]) >= limit) atomicMax(bad, 1u);
}
CCOMP_KERNEL spoil_kernel(float* x, std::uint64_t n, unsigned const* bad) {
  std::uint64_t const i = thread_number();
  if (i < n && *bad != 0) x[i] = canonical_nan();
}
/// out += x.
CCOMP_KERNEL add_kernel(float const* x, float* out, std::uint64_t n) {
  std::uint64_t const i = thread_number();
  if (i < n) out[i] = canonical(add(out[i], x[i]));
}

/// out = P total^T, or out + that; bad factors stand for `lost`.
template <class Team>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    decode_factors_kernel(block_part p, bool add_to_out, low_rank_factors f, unsigned const* bad, float lost) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  bool const good = *bad == 0;
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float v[4] = {}, old[4];
    if (good) f.product(f.total, at, r, v);
    if (add_to_out) load_quad(p.out, at.index(r), at.n, old);
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) {
      if (!good) v[c] = lost;
      if (add_to_out) v[c] = canonical(add(old[c], v[c]));
    }
    store_quad(p.out, at.index(r), at.n, v);
  }
}

/// Of tensors that are sent as they are: all of it arrived where the sum is finite.
template <class Team>
__global__ void __launch_bounds__(32 * warps_per_block, Team::least_blocks)
    finish_dense_kernel(block_part p, float const* sum, float divisor) {
  tile_place const at = place_of<Team>(p);
  if (at.team >= at.n) return;
  device_values const from(sum, element_type::float32);
  CCOMP_UNROLL
  for (int r = 0; r < Team::rows; ++r) {
    float v[4], zero[4] = {};
    load_quad(from, at.index(r), at.n, v);
    unsigned arrived = 0;
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c)
      if (is_finite(v[c])) arrived |= 1u << c;
    if (p.residual.data) store_quad(p.residual, at.index(r), at.n, zero, arrived);
    finish_sum(v, divisor);
    store_quad(p.out, at.index(r), at.n, v);
  }
}

/// Calls `f` with a team and whether there are transforms; without any, small tiles do.
template <class F> void with_matrix_team(block_coding const& how, F const& f) {
  if (how.transforms.count == 0) return f(team_shape<4, 1>{}, std::false_type{});
  f(team_shape<8, warps_per_block>{}, std::true_type{});
}
/// Thread blocks for so many threads of 256 each.
inline unsigned blocks_for(std::uint64_t threads) {
  expects(threads <= std::uint64_t{0x7fffffff} * 256, "CUDA: the factors are too large");
  return static_cast<unsigned>(ceil_div(threads, 256));
}

inline void gather_matrix(cuda_exec const& ex, block_part const& p, block_coding const& how, float* m,
                          std::uint64_t padded) {
  with_matrix_team(how, [&](auto team, auto transformed) {
    using team_type = decltype(team);
    launch(ex, "gather", gather_kernel<team_type, decltype(transformed)::value>, grid_of<team_type>(padded),
           32 * warps_per_block, p, how, m, padded);
  });
}
inline void expand_factors(cuda_exec const& ex, block_part const& p, block_coding const& how, low_rank_factors const& f,
                           unsigned const* bad) {
  with_matrix_team(how, [&](auto team, auto transformed) {
    using team_type = decltype(team);
    launch(ex, "expand_factors", expand_factors_kernel<team_type, decltype(transformed)::value>,
           grid_of<team_type>(p.n), 32 * warps_per_block, p, how, f, bad);
  });
}
inline void decode_factors(cuda_exec const& ex, block_part const& p, bool add_to_out, low_rank_factors const& f,
                           unsigned const* bad, float lost) {
  using team = team_shape<4, 1>;
  launch(ex, "decode_factors", decode_factors_kernel<team>, grid_of<team>(p.n), 32 * warps_per_block, p, add_to_out, f,
         bad, lost);
}
inline void finish_dense(cuda_exec const& ex, block_part const& p, float const* sum, float divisor) {
  using team = team_shape<4, 1>;
  launch(ex, "finish_dense", finish_dense_kernel<team>, grid_of<team>(p.n), 32 * warps_per_block, p, sum, divisor);
}

}  // namespace detail
CCOMP_END
