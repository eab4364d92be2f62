#pragma once
/// Products with a matrix and orthonormal columns on GPUs, as power iterations need them. Needs cuBLAS.

#include <ccomp/exec/cublas.hpp>
#include <ccomp/low_rank/factors.cuh>
#include <ccomp/low_rank/factors.hpp>
#include <ccomp/low_rank/orthonormal.cuh>

#include <algorithm>
#include <string_view>

CCOMP_BEGIN
namespace detail {

/// The steps of power iterations: P = M Q, orthonormal columns, Q = M^T P. Q is [rank][cols]; or turned, [cols][rank], where
/// its vectors are to be made orthonormal.
///
/// Row by row is column by column of the transpose, so cuBLAS is given M^T [cols][rows], P^T [rank][rows] and
/// Q^T [cols][rank].
class device_iteration {
 public:
  /// Scratch: what cuBLAS needs, and making `rank` columns of that length orthonormal.
  static std::size_t scratch_bytes(std::size_t length, std::uint32_t rank) {
    return scratch::bytes_for<std::byte>(cublas_bytes) + orthonormal_scratch_bytes(length, rank);
  }
  /// Refuses what cuBLAS cannot take, and makes its handle.
  static void prepare(std::string_view stage, matrix_shape const& m, workspace<cuda_exec>& ws) {
    constexpr std::size_t most = 0x7fffffff;
    expects(m.rows <= most && m.cols <= most, [&] {
      return sentence(stage, ": cuBLAS takes matrices of less than 2^31 rows and columns, got ", m.rows, " x ", m.cols);
    });
    ws.kept<cublas>(stage);
  }

  /// `bad`: 0; set if a factor is not finite, or too large.
  device_iteration(cuda_exec const& ex, workspace<cuda_exec>& ws, matrix_shape const& m, std::uint32_t rank,
                   unsigned* bad, scratch memory)
      : ex_(ex), blas_(ws.kept<cublas>()), rows_(m.rows), cols_(m.cols), rank_(rank), bad_(bad) {
    blas_memory_ = {memory.take<std::byte>(cublas_bytes), cublas_bytes};
    triangles_ = memory.remaining();
  }

  [[nodiscard]] unsigned* bad() const { return bad_; }

  /// The random Q of a step, on which all ranks agree.
  [[nodiscard]] low_rank_start start(std::uint64_t seed, float unit, device_random const& at) const {
    return {rank_, static_cast<std::uint32_t>(cols_), seed, unit, at};
  }
  [[nodiscard]] static unsigned blocks_of(low_rank_start const& s) { return blocks_for(s.all_groups()); }
  void draw(low_rank_start const& s, float* q) const {
    launch(ex_, "draw_start", draw_start_kernel<>, blocks_of(s), 256, s, q);
  }
  void project(float const* m, float const* q, float* p) const {
    blas_.multiply(ex_, rank_, rows_, cols_, {q, cols_, true}, {m, cols_, false}, p, blas_memory_);
  }
  void project_turned(float const* m, float const* q, float* p) const {
    blas_.multiply(ex_, rank_, rows_, cols_, {q, rank_, false}, {m, cols_, false}, p, blas_memory_);
  }
  void orthonormal_columns(float* p) const { orthonormal_columns(p, rows_, rank_); }
  void orthonormal_turned(float* q) const { orthonormal_columns(q, cols_, rank_); }
  void orthonormal_columns(float* columns, std::size_t length, std::uint32_t count) const {
    scratch memory(triangles_);
    orthonormalise(ex_, columns, length, count, bad_, memory);
  }
  void back_project(float const* m, float const* p, float* q) const {
    blas_.multiply(ex_, cols_, rank_, rows_, {m, cols_, false}, {p, rank_, true}, q, blas_memory_);
  }

  void back_project_turned(float const* m, float const* p, float* q) const {
    blas_.multiply(ex_, rank_, cols_, rows_, {p, rank_, false}, {m, cols_, true}, q, blas_memory_);
  }
  /// Of `turn` [rank][count]: p [rows][count] = old_p turn, q [count][cols] = turn^T old_q.
  void turn(float const* turn, std::size_t count, float const* old_p, float const* old_q, float* p, float* q) const {
    blas_.multiply(ex_, count, rows_, rank_, {turn, count, false}, {old_p, rank_, false}, p, blas_memory_);
    blas_.multiply(ex_, cols_, count, rank_, {old_q, cols_, false}, {turn, count, true}, q, blas_memory_);
  }

 private:
  static constexpr std::size_t cublas_bytes = cublas_workspace_bytes + cublas_alignment;

  cuda_exec const& ex_;
  cublas const& blas_;
  std::size_t rows_, cols_;
  std::uint32_t rank_;
  unsigned* bad_;
  std::span<std::byte> blas_memory_, triangles_;
};

}  // namespace detail
CCOMP_END
