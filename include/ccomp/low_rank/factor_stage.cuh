#pragma once
/// What stages that send two thin factors share on GPUs: tensors that are sent as they are, the checks of what was found, and
/// decoding. One item after the other, as the libraries take one matrix.

#include <ccomp/engine/cuda/vector_run.cuh>
#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/factors.cuh>

#include <cmath>

CCOMP_BEGIN
namespace detail {

/// What kernels tell each other of a matrix; all zero at first.
struct factor_flags {
  unsigned bad, largest[2];  // of P and Q
};

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

/// The largest magnitude, as bits; `largest` starts as 0.
CCOMP_KERNEL largest_kernel(float const* x, std::uint64_t n, unsigned* largest) {
  std::uint64_t const i = thread_number();
  std::uint32_t const mine = __reduce_max_sync(full_warp, i < n ? magnitude_key(x[i]) : 0);
  if (threadIdx.x % 32 == 0 && mine > 0) atomicMax(largest, mine);
}
/// The host's `balance` of two factors that lie one behind the other.
CCOMP_KERNEL balance_kernel(float* p, std::uint64_t p_size, std::uint64_t q_size, factor_flags const* flags) {
  std::uint64_t const i = thread_number();
  std::uint32_t const key[] = {flags->largest[0], flags->largest[1]};
  if (i >= p_size + q_size || key[0] == 0 || key[1] == 0 || key[0] >= inf_bits || key[1] >= inf_bits) return;
  int const exponent[] = {exponent_of(key[0]), exponent_of(key[1])}, part = i < p_size ? 0 : 1;
  p[i] = std::scalbn(p[i], balancing_shift(exponent[0] + exponent[1], 2, part, exponent[part]));
}
CCOMP_KERNEL judge_kernel(std::uint64_t rank, factor_flags* flags) {
  if (thread_number() == 0 && !product_is_finite(flags->largest[0], flags->largest[1], rank)) flags->bad = 1;
}

/// `bad` is set if a value reaches the limit.
inline void find_bad(cuda_exec const& ex, float const* x, std::uint64_t n, std::uint32_t limit, unsigned* bad) {
  launch(ex, "find_bad", find_bad_kernel<>, blocks_for(n), 256, x, n, limit, bad);
}
inline void find_largest(cuda_exec const& ex, float const* x, std::uint64_t n, unsigned* largest) {
  launch(ex, "largest", largest_kernel<>, blocks_for(n), 256, x, n, largest);
}

/// Ends the encoding of P [rows][rank], then Q [rank][cols]. A factor that is not finite, or from the limit on, makes the
/// whole carrier NaN.
inline void finish_carrier(factor_layout const& layout, cuda_exec const& ex, matrix_shape const& m, float* carrier,
                           std::uint32_t limit, factor_flags* flags) {
  std::uint64_t const p_size = layout.rank * m.rows, q_size = layout.rank * m.cols, all = p_size + q_size;
  find_bad(ex, carrier + p_size, q_size, limit, &flags->bad);
  find_largest(ex, carrier, p_size, &flags->largest[0]);
  find_largest(ex, carrier + p_size, q_size, &flags->largest[1]);
  launch(ex, "balance", balance_kernel<>, blocks_for(all), 256, carrier, p_size, q_size,
         static_cast<factor_flags const*>(flags));
  launch(ex, "spoil", spoil_kernel<>, blocks_for(all), 256, carrier, all, static_cast<unsigned const*>(&flags->bad));
}

inline void decode_carrier(factor_layout const& layout, device_queue q, device_decode_call const& c) {
  auto* const flags = q.take<factor_flags>(1);
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
    std::uint64_t const p_size = layout.rank * shape.rows;
    ex.fill_zero(flags, sizeof *flags);
    find_largest(ex, carrier, p_size, &flags->largest[0]);
    find_largest(ex, carrier + p_size, layout.rank * shape.cols, &flags->largest[1]);
    launch(ex, "judge", judge_kernel<>, 1, 32, std::uint64_t{layout.rank}, flags);
    block_part to;
    to.n = c.n;
    to.out = {values, element_type::float32};
    auto const rank = static_cast<std::uint32_t>(layout.rank);
    decode_factors(ex, to, c.add, {carrier, carrier + p_size, nullptr, rank, static_cast<std::uint32_t>(shape.cols)},
                   &flags->bad, c.lost == lost_values::zero ? 0.0f : canonical_nan());
  }
}

}  // namespace detail
CCOMP_END
