#pragma once
/// randomized_svd on GPUs. Opt-in: needs cuSOLVER and cuBLAS (link ccomp::cusolver and ccomp::cublas) and Eigen
/// (ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/low_rank/iteration.cuh>
#include <ccomp/low_rank/randomized_svd.hpp>
#include <ccomp/low_rank/singular_vectors.cuh>

CCOMP_BEGIN

/// The host's steps. cuBLAS multiplies; cuSOLVER decomposes only the small matrix that the random vectors see.
template <> struct device_stage<randomized_svd> {
  static void encode(randomized_svd const& s, device_queue q, device_encode_call const& c) {
    if (detail::encode_dense(s.layout(), q, c)) return;
    s.layout().expect_rank(randomized_svd::name, c.n);
    auto const shape = s.layout().shape_of(c.n);
    auto const k = static_cast<std::uint32_t>(s.drawn(shape));
    if (q.measures()) {
      detail::device_iteration::prepare(randomized_svd::name, shape, q.memory());
      detail::device_singular_vectors::prepare(randomized_svd::name, q.memory());
    }
    detail::device_singular_vectors const left(q.memory(), k, shape.cols);
    std::size_t const own = detail::device_iteration::scratch_bytes(std::max(shape.rows, shape.cols), k),
                      solving = left.scratch_bytes();
    auto* const copy = q.take<float>(shape.rows * shape.cols);
    auto* const p = q.take<float>(shape.rows * k);
    auto* const v = q.take<float>(shape.cols * k);
    auto* const turn = q.take<float>(std::size_t{k} * s.rank);
    auto* const flags = q.take<detail::factor_flags>(1);
    auto* const memory = q.take<std::byte>(own);
    auto* const solver_memory = q.take<std::byte>(solving);
    if (q.measures()) return;
    cuda_exec const& ex = q.exec();
    detail::expect_no_recording(ex, randomized_svd::name);
    for (unsigned i = 0; i < c.items; ++i) {
      ex.fill_zero(flags, sizeof *flags);
      detail::device_iteration const iteration(ex, q.memory(), shape, k, &flags->bad, detail::scratch({memory, own}));
      auto const* const m = detail::whole_matrix(ex, shape, c.values.of(i), copy);
      iteration.draw(iteration.start(s.seed, detail::random_start::unit(shape.cols), c.at), v);
      iteration.project(m, v, p);
      iteration.orthonormal_columns(p);
      for (std::uint32_t turned = 0; turned < s.power_iterations; ++turned) {
        iteration.back_project_turned(m, p, v);
        detail::find_bad(ex, v, shape.cols * k, detail::factor_limit_bits, &flags->bad);
        iteration.orthonormal_turned(v);
        iteration.project_turned(m, v, p);
        iteration.orthonormal_columns(p);
      }
      iteration.back_project(m, p, v);
      detail::find_bad(ex, v, shape.cols * k, detail::factor_limit_bits, &flags->bad);
      left.find(ex, v, s.rank, turn, &flags->bad, detail::scratch({solver_memory, solving}));
      iteration.orthonormal_columns(turn, k, s.rank);
      auto* const carrier = c.carrier.of(i);
      iteration.turn(turn, s.rank, p, v, carrier, carrier + shape.rows * s.rank);
      detail::fix_signs(ex, shape, s.rank, carrier);
      detail::finish_carrier(s.layout(), ex, shape, carrier, detail::factor_limit_bits, flags);
    }
  }
  static void decode(randomized_svd const& s, device_queue q, device_decode_call const& c) {
    detail::decode_carrier(s.layout(), q, c);
  }
};

CCOMP_END
