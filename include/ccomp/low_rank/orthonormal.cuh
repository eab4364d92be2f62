#pragma once
/// Orthonormal columns of a tall matrix on a GPU: Householder reflections in double, as on the host, but of slabs of
/// rows: each slab is reduced to a triangle, the triangles below one another are a matrix a few times shorter, and so on
/// until one slab is left; then the reflections are undone from the last slab to the first ones (Demmel, Grigori,
/// Hoemmen, Langou, "Communication-optimal Parallel and Sequential QR and LU Factorizations", SIAM J. Sci. Comput.
/// 2012). A thread block works on a slab alone; the order of all sums follows from the shape.

#include <ccomp/core/scratch.hpp>
#include <ccomp/core/workspace.hpp>
#include <ccomp/engine/cuda/tile.cuh>

CCOMP_BEGIN
namespace detail {

/// The rows of one level, cut into slabs of at least 4 rank rows (or all of them). Slab s holds its columns one after
/// another.
struct slab_level {
  std::uint64_t rows = 0;
  std::uint32_t rank = 0, slabs = 1;
  double* matrix = nullptr;    // its columns, then the reflections: column k below row k, times inverse[k]
  double* basis = nullptr;     // the orthonormal columns
  double* tau = nullptr;       // of each slab's reflections
  double* inverse = nullptr;   // 1 / (what became of the diagonal before the reflection)
  double* diagonal = nullptr;  // of each slab's triangle

  CCOMP_HD std::uint64_t first(std::uint32_t slab) const { return rows * slab / slabs; }
  CCOMP_HD std::uint32_t height(std::uint32_t slab) const {
    return static_cast<std::uint32_t>(first(slab + 1) - first(slab));
  }
  /// Where a value stands in `matrix` and `basis`.
  __device__ std::uint64_t place(std::uint64_t row, std::uint32_t column) const {
    auto const slab = static_cast<std::uint32_t>(((row + 1) * slabs - 1) / rows);
    return first(slab) * rank + static_cast<std::uint64_t>(column) * height(slab) + (row - first(slab));
  }
};

inline std::uint32_t slabs_of(std::uint64_t rows, std::uint32_t rank) {
  std::uint64_t const least = std::max<std::uint64_t>(512, 4 * std::uint64_t{rank}), slabs = rows / least;
  return slabs > 1 ? static_cast<std::uint32_t>(slabs) : 1;
}
/// Calls `f(level)` from the tall matrix to the last slab.
template <class F> void for_slab_levels(std::uint64_t rows, std::uint32_t rank, F const& f) {
  for (;;) {
    slab_level l;
    l.rows = rows;
    l.rank = rank;
    l.slabs = slabs_of(rows, rank);
    f(l);
    if (l.slabs == 1) return;
    rows = std::uint64_t{l.slabs} * rank;
  }
}
inline std::size_t orthonormal_scratch_bytes(std::uint64_t rows, std::uint32_t rank) {
  std::size_t bytes = 0;
  for_slab_levels(rows, rank, [&](slab_level const& l) {
    bytes +=
        2 * scratch::bytes_for<double>(l.rows * rank) + 3 * scratch::bytes_for<double>(std::size_t{l.slabs} * rank);
  });
  return bytes;
}

__device__ inline double warp_sum(double x) {
  for (int d = 16; d > 0; d /= 2) x = add(x, __shfl_xor_sync(full_warp, x, d));
  return x;
}

/// Column k of a slab as a reflection I - tau v v^T: v is 1 at k, and below it the column times `inverse`.
struct reflection {
  double const* column;
  std::uint32_t k;
  double inverse, tau;

  __device__ double v(std::uint32_t i) const { return i == k ? 1.0 : i > k ? mul(column[i], inverse) : 0.0; }
  /// Applies it to a column of so many rows, a warp together; each lane keeps to its own rows.
  __device__ void apply(double* x, std::uint32_t height, unsigned lane) const {
    if (tau == 0) return;
    double sum = 0;
    std::uint32_t const begin = k / 32 * 32 + lane;
    for (std::uint32_t i = begin; i < height; i += 32) sum = add(sum, mul(v(i), x[i]));
    sum = mul(tau, warp_sum(sum));
    for (std::uint32_t i = begin; i < height; i += 32) x[i] = add(x[i], -mul(sum, v(i)));
  }
};
/// The reflection that turns column k to zero below row k, where `diagonal` stays.
__device__ inline reflection reflection_of(double const* column, std::uint32_t k, std::uint32_t height, unsigned lane,
                                           double& diagonal) {
  double squares = 0, top = column[k];
  for (std::uint32_t i = k / 32 * 32 + lane; i < height; i += 32)
    if (i > k) squares = add(squares, mul(column[i], column[i]));
  squares = warp_sum(squares);
  diagonal = top;
  if (squares <= 2.2250738585072014e-308) return {column, k, 0, 0};  // nothing below
  double const length = sqrt(add(mul(top, top), squares));
  diagonal = top < 0 ? length : -length;
  return {column, k, 1 / (top - diagonal), (diagonal - top) / diagonal};
}

/// A slab's reflections, column after column, and its triangle, which becomes a part of the next level's matrix. `p`
/// [rows][rank]: where the first level's matrix comes from, null for others; `bad` is set if it is not finite.
CCOMP_KERNEL reduce_slab_kernel(slab_level l, slab_level next, float const* p, unsigned* bad) {
  unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  std::uint64_t const first = l.first(blockIdx.x);
  std::uint32_t const height = l.height(blockIdx.x);
  double* const a = l.matrix + first * l.rank;
  std::uint64_t const scalars = std::uint64_t{blockIdx.x} * l.rank;
  if (p) {
    for (std::uint64_t i = threadIdx.x; i < std::uint64_t{height} * l.rank; i += blockDim.x) {
      float const value = p[first * l.rank + i];
      if (!is_finite(value)) atomicMax(bad, 1u);
      a[i % l.rank * height + i / l.rank] = static_cast<double>(value);
    }
    __syncthreads();
  }
  for (std::uint32_t k = 0; k < l.rank; ++k) {
    if (warp == 0 || k + 1 + warp < l.rank) {  // every warp makes the reflection that it needs
      double diagonal = 0;
      reflection const h = reflection_of(a + std::uint64_t{k} * height, k, height, lane, diagonal);
      for (std::uint32_t j = k + 1 + warp; j < l.rank; j += warps) h.apply(a + std::uint64_t{j} * height, height, lane);
      if (threadIdx.x == 0) {
        l.tau[scalars + k] = h.tau;
        l.inverse[scalars + k] = h.inverse;
        l.diagonal[scalars + k] = diagonal;
      }
    }
    __syncthreads();
  }
  if (!next.matrix) return;
  for (std::uint32_t i = threadIdx.x; i < l.rank * l.rank; i += blockDim.x) {
    std::uint32_t const row = i / l.rank, column = i % l.rank;
    double const value = row < column    ? a[std::uint64_t{column} * height + row]
                         : row == column ? l.diagonal[scalars + row]
                                         : 0.0;
    next.matrix[next.place(scalars + row, column)] = value;
  }
}

/// A slab's part of the orthonormal columns: its reflections, from the last to the first, of what the next level has at
/// its place (the last level: of unit vectors). The first level writes `p`.
CCOMP_KERNEL expand_slab_kernel(slab_level l, slab_level next, float* p) {
  unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  std::uint64_t const first = l.first(blockIdx.x), scalars = std::uint64_t{blockIdx.x} * l.rank;
  std::uint32_t const height = l.height(blockIdx.x);
  double const* const a = l.matrix + first * l.rank;
  for (std::uint32_t j = warp; j < l.rank; j += warps) {
    double* const x = l.basis + first * l.rank + std::uint64_t{j} * height;
    for (std::uint32_t i = lane; i < height; i += 32) {
      if (i >= l.rank)
        x[i] = 0;
      else if (next.basis)
        x[i] = next.basis[next.place(scalars + i, j)];
      else
        x[i] = i == j ? 1 : 0;
    }
    for (std::uint32_t k = l.rank; k-- > 0;)
      reflection{a + std::uint64_t{k} * height, k, l.inverse[scalars + k], l.tau[scalars + k]}.apply(x, height, lane);
    if (!p) continue;
    for (std::uint32_t i = lane; i < height; i += 32) p[(first + i) * l.rank + j] = static_cast<float>(x[i]);
  }
}

/// Replaces the columns of p [rows][rank] (rank <= rows) by orthonormal ones that span them and, where they are
/// dependent or zero, more directions. `bad` (set to 1 if p is not finite, else left alone) and `memory`
/// (orthonormal_scratch_bytes) are device memory.
inline void orthonormalise(cuda_exec const& ex, float* p, std::uint64_t rows, std::uint32_t rank, unsigned* bad,
                           scratch& memory) {
  constexpr int most_levels = 32;
  slab_level levels[most_levels + 1];
  int count = 0;
  for_slab_levels(rows, rank, [&](slab_level l) {
    l.matrix = memory.take<double>(l.rows * rank);
    l.basis = memory.take<double>(l.rows * rank);
    std::size_t const scalars = std::size_t{l.slabs} * rank;
    l.tau = memory.take<double>(scalars);
    l.inverse = memory.take<double>(scalars);
    l.diagonal = memory.take<double>(scalars);
    levels[count++] = l;
  });
  unsigned const threads = rank > 16 ? 256 : 128;
  for (int i = 0; i < count; ++i)
    launch(ex, "reduce_slab", reduce_slab_kernel<>, levels[i].slabs, threads, levels[i], levels[i + 1],
           static_cast<float const*>(i == 0 ? p : nullptr), bad);
  for (int i = count; i-- > 0;)
    launch(ex, "expand_slab", expand_slab_kernel<>, levels[i].slabs, threads, levels[i], levels[i + 1],
           i == 0 ? p : nullptr);
}

}  // namespace detail
CCOMP_END
