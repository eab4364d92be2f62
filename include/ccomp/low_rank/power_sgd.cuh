#pragma once
/// power_sgd on GPUs. Opt-in: needs cuBLAS (link ccomp::cublas) and Eigen (ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/engine/cuda/vector_run.cuh>
#include <ccomp/exec/cublas.hpp>
#include <ccomp/low_rank/factors.cuh>
#include <ccomp/low_rank/orthonormal.cuh>
#include <ccomp/low_rank/power_sgd.hpp>

CCOMP_BEGIN
namespace detail {

/// The steps of one power iteration: P = M Q, orthonormal columns, Q = M^T P.
///
/// Row by row is column by column of the transpose, so cuBLAS is given M^T [cols][rows], P^T [rank][rows] and
/// Q^T [cols][rank].
class device_iteration {
 public:
  /// Scratch: what orthonormalisation and cuBLAS need, and whether the factors are bad.
  static std::size_t scratch_bytes(matrix_shape const& m, std::uint32_t rank) {
    return orthonormal_scratch_bytes(m.rows, rank) + scratch::bytes_for<unsigned>(1) +
           scratch::bytes_for<std::byte>(cublas_workspace_bytes + cublas_alignment);
  }
  /// Refuses what cuBLAS cannot take, and makes its handle.
  static void prepare(matrix_shape const& m, workspace<cuda_exec>& ws) {
    constexpr std::size_t most = 0x7fffffff;
    expects(m.rows <= most && m.cols <= most, [&] {
      return sentence("power_sgd: cuBLAS takes matrices of less than 2^31 rows and columns, got ", m.rows, " x ",
                      m.cols);
    });
    ws.kept<cublas>("power_sgd");
  }

  device_iteration(cuda_exec const& ex, workspace<cuda_exec>& ws, matrix_shape const& m, std::uint32_t rank,
                   scratch memory)
      : ex_(ex), blas_(ws.kept<cublas>()), rows_(m.rows), cols_(m.cols), rank_(rank) {
    bad_ = memory.take<unsigned>(1);
    triangles_ = memory;
    static_cast<void>(memory.take<std::byte>(orthonormal_scratch_bytes(rows_, rank_)));
    blas_memory_ = memory.remaining();
    ex.fill_zero(bad_, sizeof *bad_);
  }

  /// Not 0 if a factor is not finite, or too large.
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
  void orthonormal_columns(float* p) const {
    scratch memory = triangles_;
    orthonormalise(ex_, p, rows_, rank_, bad_, memory);
  }
  void back_project(float const* m, float const* p, float* q) const {
    blas_.multiply(ex_, cols_, rank_, rows_, {m, cols_, false}, {p, rank_, true}, q, blas_memory_);
  }

 private:
  cuda_exec const& ex_;
  cublas const& blas_;
  std::size_t rows_, cols_;
  std::uint32_t rank_;
  unsigned* bad_ = nullptr;
  scratch triangles_;
  std::span<std::byte> blas_memory_;
};

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
           scratch::bytes_for<double>(s.rank) + scratch::bytes_for<float>(m.rows * m.cols) +
           device_iteration::scratch_bytes(m, s.rank);
  }

  static void prepare(power_sgd const& s, reduce_shape const& shape, std::span<float> state, workspace<cuda_exec>& ws) {
    if (s.is_dense(shape.n)) return;
    auto const m = s.shape_of(shape.n);
    expects(state.empty() || state.size() == m.cols * s.rank, [&] {
      return sentence("power_sgd: a warm start of ", state.size(), " values where the tensor has ", m.cols * s.rank,
                      "; make a new error_feedback");
    });
    device_iteration::prepare(m, ws);
  }

  template <class Comm>
  static std::size_t reduce(power_sgd const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>& ws,
                            device_reduce_call const& call) {
    return s.is_dense(call.n) ? reduce_dense(ex, comm, call) : reduce_factors(s, ex, comm, ws, call);
  }

 private:
  /// Transforms would only add rounding to values that are sent unchanged.
  template <class Comm>
  static std::size_t reduce_dense(cuda_exec const& ex, Comm& comm, device_reduce_call const& call) {
    if (call.n == 0) return 0;
    auto* const sum = scratch(call.memory).take<float>(call.n);
    block_call tiles = tile_call(call, comm.size());
    tiles.how.transforms = {};
    gather_matrix(ex, tiles.whole, tiles.how, sum, call.n);
    comm.all_reduce(ex, sum, call.n, wire_type::float32, wire_op::sum);
    finish_dense(ex, tiles.whole, sum, tiles.sum.divisor);
    return all_reduce_bytes(call.n * sizeof(float), comm.size());
  }

  template <class Comm>
  static std::size_t reduce_factors(power_sgd const& s, cuda_exec const& ex, Comm& comm, workspace<cuda_exec>& ws,
                                    device_reduce_call const& call) {
    auto const shape = s.shape_of(call.n);
    std::size_t const p_size = shape.rows * s.rank, q_size = shape.cols * s.rank, padded = shape.rows * shape.cols;
    scratch memory(call.memory);
    auto* const p = memory.take<float>(p_size);
    auto* const drawn = memory.take<float>(q_size);
    auto* const own = memory.take<float>(q_size);
    auto* const total = memory.take<float>(q_size);
    auto* const squares = memory.take<double>(s.rank);
    auto* const copy = memory.take<float>(padded);
    device_iteration const iteration(ex, ws, shape, s.rank, memory);
    block_call const tiles = tile_call(call, comm.size());
    auto const start = iteration.start(s.seed, detail::random_start::unit(shape.cols), call.at);

    auto const* m = static_cast<float const*>(call.in.data);
    bool const as_it_is = call.in.type == element_type::float32 && !call.residual && call.transforms.count == 0;
    if (!as_it_is || call.n != padded) {
      gather_matrix(ex, tiles.whole, tiles.how, copy, padded);
      m = copy;
    }
    float const* from = call.state.data();
    if (call.state.empty()) {
      iteration.draw(start, drawn);
      from = drawn;
    }
    iteration.project(m, from, p);
    comm.all_reduce(ex, p, p_size, wire_type::float32, wire_op::sum);
    iteration.orthonormal_columns(p);
    iteration.back_project(m, p, own);
    launch(ex, "limit", limit_kernel<>, blocks_for(q_size), 256, static_cast<float const*>(own), total,
           std::uint64_t{q_size}, power_sgd::limit_bits);
    comm.all_reduce(ex, total, q_size, wire_type::float32, wire_op::sum);
    launch(ex, "squares", squares_kernel<>, s.rank, 256, static_cast<float const*>(total), start.cols,
           power_sgd::limit_bits, squares, iteration.bad());
    launch(ex, "finish_factor", finish_factor_kernel<>, iteration.blocks_of(start), 256, start, total,
           static_cast<double const*>(squares), static_cast<unsigned const*>(iteration.bad()), call.state.data(),
           tiles.sum.divisor);
    expand_factors(ex, tiles.whole, tiles.how, {p, total, own, s.rank, start.cols}, iteration.bad());
    return all_reduce_bytes(p_size * sizeof(float), comm.size()) +
           all_reduce_bytes(q_size * sizeof(float), comm.size());
  }
};

}  // namespace detail

/// encode and decode, and with them gather and two_shot: one iteration from a random Q, P and Q are sent. One item after
/// the other: cuBLAS takes one matrix.
template <> struct device_stage<power_sgd> {
  static void encode(power_sgd const& s, device_queue q, device_encode_call const& c) {
    if (s.is_dense(c.n)) {
      for (unsigned i = 0; !q.measures() && i < c.items; ++i)
        q.exec().copy(c.carrier.of(i), c.values.of(i), c.n * sizeof(float));
      return;
    }
    auto const shape = s.shape_of(c.n);
    std::size_t const padded = shape.rows * shape.cols, own = detail::device_iteration::scratch_bytes(shape, s.rank);
    auto* const drawn = q.take<float>(shape.cols * s.rank);
    auto* const copy = q.take<float>(padded);
    auto* const memory = q.take<std::byte>(own);
    if (q.measures()) return detail::device_iteration::prepare(shape, q.memory());
    cuda_exec const& ex = q.exec();
    for (unsigned i = 0; i < c.items; ++i) {
      detail::device_iteration const iteration(ex, q.memory(), shape, s.rank, detail::scratch({memory, own}));
      auto const* m = c.values.of(i);
      if (c.n != padded) {  // the last row is short
        ex.copy(copy, m, c.n * sizeof(float));
        ex.fill_zero(copy + c.n, (padded - c.n) * sizeof(float));
        m = copy;
      }
      encode_matrix(s, ex, iteration, shape, m, drawn, c.carrier.of(i), c.at);
    }
  }

  static void decode(power_sgd const& s, device_queue q, device_decode_call const& c) {
    auto* const bad = q.take<unsigned>(1);
    if (q.measures()) return;
    for (unsigned i = 0; i < c.items; ++i)
      if (s.is_dense(c.n))
        decode_dense(q.exec(), c.carrier.of(i), c.values.of(i), c.n, c.add);
      else
        decode_matrix(s, q.exec(), c.carrier.of(i), c.values.of(i), c, bad);
  }

 private:
  static void encode_matrix(power_sgd const& s, cuda_exec const& ex, detail::device_iteration const& iteration,
                            detail::matrix_shape const& shape, float const* m, float* drawn, float* p,
                            detail::device_random const& at) {
    std::uint64_t const q_size = shape.cols * s.rank, all = s.factors(shape);
    float* const q = p + shape.rows * s.rank;
    iteration.draw(iteration.start(s.seed, detail::random_start::unit(shape.cols), at), drawn);
    iteration.project(m, drawn, p);
    iteration.orthonormal_columns(p);
    iteration.back_project(m, p, q);
    detail::launch(ex, "find_bad", detail::find_bad_kernel<>, detail::blocks_for(q_size), 256,
                   static_cast<float const*>(q), q_size, power_sgd::limit_bits, iteration.bad());
    detail::launch(ex, "spoil", detail::spoil_kernel<>, detail::blocks_for(all), 256, p, all,
                   static_cast<unsigned const*>(iteration.bad()));
  }
  static void decode_dense(cuda_exec const& ex, float const* carrier, float* values, std::uint64_t n, bool add) {
    if (!add) return ex.copy(values, carrier, n * sizeof(float));
    detail::launch(ex, "add", detail::add_kernel<>, detail::blocks_for(n), 256, carrier, values, n);
  }
  static void decode_matrix(power_sgd const& s, cuda_exec const& ex, float const* carrier, float* values,
                            device_decode_call const& c, unsigned* bad) {
    auto const shape = s.shape_of(c.n);
    std::uint64_t const all = s.factors(shape);
    ex.fill_zero(bad, sizeof *bad);
    detail::launch(ex, "find_bad", detail::find_bad_kernel<>, detail::blocks_for(all), 256, carrier, all,
                   detail::inf_bits, bad);
    detail::block_part to;
    to.n = c.n;
    to.out = {values, element_type::float32};
    detail::decode_factors(
        ex, to, c.add,
        {carrier, carrier + shape.rows * s.rank, nullptr, s.rank, static_cast<std::uint32_t>(shape.cols)}, bad,
        c.lost == lost_values::zero ? 0.0f : detail::canonical_nan());
  }
};

CCOMP_END
