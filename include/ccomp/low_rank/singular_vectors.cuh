#pragma once
/// The leading singular vectors of a matrix on a GPU, by cuSOLVER.

#include <ccomp/exec/cusolver.hpp>
#include <ccomp/low_rank/factor_stage.cuh>

#include <cmath>

CCOMP_BEGIN
namespace detail {

/// out = x times a power of two that brings the largest magnitude to [1, 2), so that squares neither overflow nor vanish. A
/// matrix that holds what is not finite sets `bad`, and becomes zero.
CCOMP_KERNEL scale_kernel(float const* x, std::uint64_t n, unsigned const* largest, float* out, unsigned* bad) {
  std::uint64_t const i = thread_number();
  std::uint32_t const key = *largest;
  if (i == 0 && key >= inf_bits) atomicMax(bad, 1u);
  if (i < n) out[i] = key >= inf_bits ? 0.0f : std::scalbn(x[i], 127 - static_cast<int>(key >> 23));
}
/// vectors [length][count] of v, whose column k starts at k length.
CCOMP_KERNEL take_columns_kernel(float const* v, std::uint64_t length, std::uint32_t count, float* vectors) {
  std::uint64_t const i = thread_number();
  if (i < length * count) vectors[i] = v[i % count * length + i / count];
}
/// The entry of largest magnitude of each column of p [rows][rank], of equals the first, becomes positive; with it, the row of
/// q [rank][cols] changes its sign. A thread block for each.
CCOMP_KERNEL fix_signs_kernel(float* p, std::uint64_t rows, std::uint32_t rank, float* q, std::uint64_t cols) {
  CCOMP_SHARED(unsigned long long, first);
  if (threadIdx.x == 0) first = 0;
  __syncthreads();
  unsigned long long mine = 0;
  for (std::uint64_t i = threadIdx.x; i < rows; i += blockDim.x) {
    std::uint64_t const key = std::uint64_t{magnitude_key(p[i * rank + blockIdx.x])} << 32 | (0xffffffffu - i);
    mine = key > mine ? key : mine;
  }
  atomicMax(&first, mine);
  __syncthreads();
  if (!(p[(0xffffffffu - (first & 0xffffffffu)) * rank + blockIdx.x] < 0)) return;
  __syncthreads();
  for (std::uint64_t i = threadIdx.x; i < rows; i += blockDim.x) p[i * rank + blockIdx.x] *= -1;
  for (std::uint64_t j = threadIdx.x; j < cols; j += blockDim.x) q[blockIdx.x * cols + j] *= -1;
}

/// Singular vectors on the left of a [lines][length], row by row. cuSOLVER sees a^T, whose right ones they are.
class device_singular_vectors {
 public:
  static void prepare(std::string_view stage, workspace<cuda_exec>& ws) { ws.kept<cusolver>(stage); }

  device_singular_vectors(workspace<cuda_exec>& ws, std::size_t lines, std::size_t length)
      : solver_(ws.kept<cusolver>()), room_(solver_.room_of(length, lines)), lines_(lines), length_(length) {}

  [[nodiscard]] std::size_t scratch_bytes() const {
    return scratch::bytes_for<float>(lines_ * length_) + scratch::bytes_for<float>(count()) +
           scratch::bytes_for<float>(room_.u_size()) + scratch::bytes_for<float>(room_.v_size()) +
           scratch::bytes_for<float>(static_cast<std::size_t>(room_.work)) + scratch::bytes_for<int>(1) +
           scratch::bytes_for<unsigned>(1);
  }
  /// vectors [lines][rank], the largest singular values first.
  void find(cuda_exec const& ex, float const* a, std::uint32_t rank, float* vectors, unsigned* bad,
            scratch memory) const {
    std::uint64_t const n = lines_ * length_;
    auto* const scaled = memory.take<float>(n);
    auto* const values = memory.take<float>(count());
    auto* const u = memory.take<float>(room_.u_size());
    auto* const v = memory.take<float>(room_.v_size());
    auto* const work = memory.take<float>(static_cast<std::size_t>(room_.work));
    auto* const info = memory.take<int>(1);  // unread: what has not settled is made orthonormal all the same
    auto* const largest = memory.take<unsigned>(1);
    ex.fill_zero(largest, sizeof *largest);
    find_largest(ex, a, n, largest);
    launch(ex, "scale", scale_kernel<>, blocks_for(n), 256, a, n, static_cast<unsigned const*>(largest), scaled, bad);
    solver_.svd(ex, room_, scaled, values, u, v, work, info);
    launch(ex, "take_columns", take_columns_kernel<>, blocks_for(lines_ * rank), 256, static_cast<float const*>(v),
           std::uint64_t{lines_}, rank, vectors);
  }

 private:
  [[nodiscard]] std::size_t count() const { return static_cast<std::size_t>(room_.s); }

  cusolver const& solver_;
  cusolver::svd_room room_;
  std::size_t lines_, length_;
};
/// Of a carrier whose factors are found.
inline void fix_signs(cuda_exec const& ex, matrix_shape const& m, std::uint32_t rank, float* p) {
  launch(ex, "fix_signs", fix_signs_kernel<>, rank, 256, p, std::uint64_t{m.rows}, rank, p + m.rows * rank,
         std::uint64_t{m.cols});
}
/// cuSOLVER may wait for the device, which a recording forbids.
inline void expect_no_recording(cuda_exec const& ex, std::string_view stage) {
  expects(!ex.capturing(), [&] {
    return sentence(stage, ": the stream records a graph, and cuSOLVER may wait for the device; encode it before, or ",
                    "take power_sgd");
  });
}

}  // namespace detail
CCOMP_END
