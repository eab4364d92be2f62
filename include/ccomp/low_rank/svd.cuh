#pragma once
/// svd on GPUs. Opt-in: needs cuSOLVER and cuBLAS (link ccomp::cusolver and ccomp::cublas); not part of ccomp.hpp.

#include <ccomp/low_rank/iteration.cuh>
#include <ccomp/low_rank/singular_vectors.cuh>
#include <ccomp/low_rank/svd.hpp>

CCOMP_BEGIN

/// cuSOLVER finds P in float, and cuBLAS Q = P^T M. Columns of P are made orthonormal once more, in double. Scratch: about
/// 12 bytes per value, and 32 MiB for cuBLAS.
template <> struct device_stage<svd> {
  static void encode(svd const& s, device_queue q, device_encode_call const& c) {
    if (detail::encode_dense(s.layout(), q, c)) return;
    s.layout().expect_rank(svd::name, c.n);
    auto const shape = s.layout().shape_of(c.n);
    if (q.measures()) {
      detail::device_iteration::prepare(svd::name, shape, q.memory());
      detail::device_singular_vectors::prepare(svd::name, q.memory());
    }
    detail::device_singular_vectors const left(q.memory(), shape.rows, shape.cols);
    std::size_t const own = detail::device_iteration::scratch_bytes(shape.rows, s.rank), solving = left.scratch_bytes();
    auto* const copy = q.take<float>(shape.rows * shape.cols);
    auto* const flags = q.take<detail::factor_flags>(1);
    auto* const memory = q.take<std::byte>(own);
    auto* const solver_memory = q.take<std::byte>(solving);
    if (q.measures()) return;
    cuda_exec const& ex = q.exec();
    detail::expect_no_recording(ex, svd::name);
    for (unsigned i = 0; i < c.items; ++i) {
      ex.fill_zero(flags, sizeof *flags);
      detail::device_iteration const iteration(ex, q.memory(), shape, s.rank, &flags->bad,
                                               detail::scratch({memory, own}));
      auto const* const m = detail::whole_matrix(ex, shape, c.values.of(i), copy);
      auto* const p = c.carrier.of(i);
      left.find(ex, m, s.rank, p, &flags->bad, detail::scratch({solver_memory, solving}));
      iteration.orthonormal_columns(p);
      iteration.back_project(m, p, p + shape.rows * s.rank);
      detail::fix_signs(ex, shape, s.rank, p);
      detail::finish_carrier(s.layout(), ex, shape, p, detail::factor_limit_bits, flags);
    }
  }
  static void decode(svd const& s, device_queue q, device_decode_call const& c) {
    detail::decode_carrier(s.layout(), q, c);
  }
};

CCOMP_END
