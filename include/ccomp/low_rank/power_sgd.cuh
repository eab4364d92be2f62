#pragma once
/// power_sgd on GPUs, in flight. Opt-in: needs cuBLAS (link ccomp::cublas) and Eigen (ccomp::eigen); not part of
/// ccomp.hpp.

#include <ccomp/engine/cuda/low_rank.cuh>
#include <ccomp/engine/cuda/orthonormal.cuh>
#include <ccomp/low_rank/cublas.hpp>
#include <ccomp/low_rank/power_sgd.hpp>

CCOMP_BEGIN
namespace detail {

/// The host's rounds, with P = M Q and Q = M^T P by cuBLAS. What the host decides by looking at the factors is decided
/// on the device: a sum that is not finite runs through all rounds, and changes neither residual nor state.
///
/// Memory:      the factors; M as floats, 4 rows cols bytes; P twice in double; 32 MiB for cuBLAS
/// Determinism: the same bits on every rank, because P and Q are what the communicator gave to all, and what follows
///              depends on the shape alone; the same bits in every run on GPUs of one type
template <> struct device_protocol<power_sgd> {
  static std::size_t scratch_bytes(power_sgd const& s, reduce_shape const& shape) {
    if (s.is_dense(shape.n)) return scratch::bytes_for<float>(shape.n);
    auto const m = s.shape_of(shape.n);
    return scratch::bytes_for<float>(m.rows * s.rank) + 3 * scratch::bytes_for<float>(m.cols * s.rank) +
           scratch::bytes_for<double>(s.rank) + scratch::bytes_for<unsigned>(1) +
           scratch::bytes_for<float>(m.rows * m.cols) + orthonormal_scratch_bytes(m.rows, s.rank) +
           scratch::bytes_for<std::byte>(cublas_workspace_bytes + cublas_alignment);
  }

  static void prepare(power_sgd const& s, reduce_shape const& shape, std::span<float> state, workspace<cuda_exec>& ws) {
    if (s.is_dense(shape.n)) return;
    auto const m = s.shape_of(shape.n);
    constexpr std::size_t most = 0x7fffffff;
    expects(m.rows <= most && m.cols <= most, [&] {
      return "power_sgd: cuBLAS takes matrices of less than 2^31 rows and columns, got " + std::to_string(m.rows) +
             " x " + std::to_string(m.cols);
    });
    expects(state.empty() || state.size() == m.cols * s.rank, [&] {
      return "power_sgd: a warm start of " + std::to_string(state.size()) + " values where the tensor has " +
             std::to_string(m.cols * s.rank) + "; make a new error_feedback";
    });
    ws.kept<cublas>("power_sgd");
  }

  template <class Comm>
  static std::size_t reduce(power_sgd const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>& ws,
                            device_reduce_call const& call) {
    return s.is_dense(call.n) ? reduce_dense(ex, comm, call) : reduce_factors(s, ex, comm, ws, call);
  }

 private:
  /// Transforms would only add rounding to values that are sent as they are.
  template <class Comm>
  static std::size_t reduce_dense(cuda_exec const& ex, Comm& comm, device_reduce_call const& call) {
    if (call.n == 0) return 0;
    auto* const sum = scratch(call.memory).take<float>(call.n);
    block_call k = tile_call(call, comm.size());
    k.transforms = {};
    gather_matrix(ex, k, sum, call.n);
    comm.all_reduce(ex, sum, call.n, wire_type::float32, wire_op::sum);
    finish_dense(ex, k, sum);
    return all_reduce_bytes(call.n * sizeof(float), comm.size());
  }

  template <class Comm>
  static std::size_t reduce_factors(power_sgd const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>& ws,
                                    device_reduce_call const& call) {
    auto const shape = s.shape_of(call.n);
    std::size_t const rows = shape.rows, cols = shape.cols, p_size = rows * s.rank, q_size = cols * s.rank;
    auto const& blas = ws.kept<cublas>();
    scratch memory(call.memory);
    auto* const p = memory.take<float>(p_size);
    auto* const drawn = memory.take<float>(q_size);
    auto* const own = memory.take<float>(q_size);
    auto* const total = memory.take<float>(q_size);
    auto* const squares = memory.take<double>(s.rank);
    auto* const bad = memory.take<unsigned>(1);
    auto const* m = static_cast<float const*>(call.in.data);
    block_call const k = tile_call(call, comm.size());
    low_rank_start const start{s.rank, static_cast<std::uint32_t>(cols), s.seed, power_sgd::start_unit(cols), call.at};
    unsigned const start_blocks = blocks_for(start.all_groups());

    check_cuda(cudaMemsetAsync(bad, 0, sizeof *bad, ex.stream()), "cudaMemsetAsync");
    bool const as_it_is = call.in.type == element_type::float32 && !call.residual && call.transforms.count == 0;
    if (auto* const copy = memory.take<float>(rows * cols); !as_it_is || call.n != rows * cols) {
      gather_matrix(ex, k, copy, rows * cols);
      m = copy;
    }
    float const* from = call.state.data();
    if (call.state.empty()) {
      launch(ex, "draw_start", draw_start_kernel<low_rank_start>, start_blocks, 256, start, drawn);
      from = drawn;
    }
    scratch triangles = memory;
    static_cast<void>(memory.take<std::byte>(orthonormal_scratch_bytes(rows, s.rank)));
    auto const blas_memory = memory.rest();

    // Row by row is column by column of the transpose: M^T [cols][rows], P^T [rank][rows], Q^T [cols][rank].
    blas.multiply(ex, s.rank, rows, cols, {from, cols, true}, {m, cols, false}, p, blas_memory);
    comm.all_reduce(ex, p, p_size, wire_type::float32, wire_op::sum);
    orthonormalise(ex, p, rows, s.rank, bad, triangles);
    blas.multiply(ex, cols, s.rank, rows, {m, cols, false}, {p, s.rank, true}, own, blas_memory);
    launch(ex, "limit", limit_kernel<float>, blocks_for(q_size), 256, static_cast<float const*>(own), total,
           std::uint64_t{q_size}, power_sgd::limit_bits);
    comm.all_reduce(ex, total, q_size, wire_type::float32, wire_op::sum);
    launch(ex, "squares", squares_kernel<float>, s.rank, 256, static_cast<float const*>(total),
           static_cast<std::uint32_t>(cols), power_sgd::limit_bits, squares, bad);
    launch(ex, "finish_factor", finish_factor_kernel<low_rank_start>, start_blocks, 256, start, total,
           static_cast<double const*>(squares), static_cast<unsigned const*>(bad), call.state.data(), k.divisor);
    expand_factors(ex, k, {p, total, own, s.rank, static_cast<std::uint32_t>(cols)}, bad);
    return all_reduce_bytes(p_size * sizeof(float), comm.size()) +
           all_reduce_bytes(q_size * sizeof(float), comm.size());
  }
};

}  // namespace detail
CCOMP_END
