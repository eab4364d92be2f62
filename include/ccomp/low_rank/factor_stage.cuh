#pragma once
/// What stages that send two thin factors share on GPUs: tensors that are sent as they are, the checks of what was found, and
/// decoding. One item after the other, as the libraries take one matrix.

#include <ccomp/engine/cuda/vector_run.cuh>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/factors.cuh>

CCOMP_BEGIN
namespace detail {

/// Copies tensors that are sent as they are. False: they are not.
inline bool encode_dense(factor_layout const& layout, device_queue const& q, device_encode_call const& c) {
  if (!layout.is_dense(c.n)) return false;
  for (unsigned i = 0; !q.measures() && i < c.items; ++i)
    q.exec().copy(c.carrier.of(i), c.values.of(i), c.n * sizeof(float));
  return true;
}

/// The matrix itself; or `copy`, with zeros for what its last row lacks.
inline float const* whole_matrix(cuda_exec const& ex, matrix_shape const& m, float const* values, float* copy) {
  std::size_t const padded = m.rows * m.cols;
  if (m.n == padded) return values;
  ex.copy(copy, values, m.n * sizeof(float));
  ex.fill_zero(copy + m.n, (padded - m.n) * sizeof(float));
  return copy;
}

/// A factor that is not finite, or from the limit on, makes the whole carrier NaN: P [rows][rank], then Q [rank][cols].
inline void finish_carrier(factor_layout const& layout, cuda_exec const& ex, matrix_shape const& m, float* carrier,
                           std::uint32_t limit, unsigned* bad) {
  std::uint64_t const all = layout.factors(m), q_size = layout.rank * m.cols;
  launch(ex, "find_bad", find_bad_kernel<>, blocks_for(q_size), 256,
         static_cast<float const*>(carrier + (all - q_size)), q_size, limit, bad);
  launch(ex, "spoil", spoil_kernel<>, blocks_for(all), 256, carrier, all, static_cast<unsigned const*>(bad));
}

inline void decode_carrier(factor_layout const& layout, device_queue q, device_decode_call const& c) {
  auto* const bad = q.take<unsigned>(1);
  if (q.measures()) return;
  cuda_exec const& ex = q.exec();
  for (unsigned i = 0; i < c.items; ++i) {
    float const* const carrier = c.carrier.of(i);
    float* const values = c.values.of(i);
    if (layout.is_dense(c.n)) {
      if (c.add)
        launch(ex, "add", add_kernel<>, blocks_for(c.n), 256, carrier, values, c.n);
      else
        ex.copy(values, carrier, c.n * sizeof(float));
      continue;
    }
    auto const shape = layout.shape_of(c.n);
    std::uint64_t const all = layout.factors(shape);
    ex.fill_zero(bad, sizeof *bad);
    launch(ex, "find_bad", find_bad_kernel<>, blocks_for(all), 256, carrier, all, inf_bits, bad);
    block_part to;
    to.n = c.n;
    to.out = {values, element_type::float32};
    auto const rank = static_cast<std::uint32_t>(layout.rank);
    decode_factors(ex, to, c.add,
                   {carrier, carrier + shape.rows * layout.rank, nullptr, rank, static_cast<std::uint32_t>(shape.cols)},
                   bad, c.lost == lost_values::zero ? 0.0f : canonical_nan());
  }
}

}  // namespace detail
CCOMP_END
