#pragma once
/// Two factors that were found in double, on their way into a carrier.

#include <ccomp/low_rank/factor_layout.hpp>
#include <ccomp/low_rank/leading_vectors.hpp>

CCOMP_BEGIN
namespace detail {

struct double_factors {
  std::size_t rank;
  matrix_shape const& shape;
  double *u, *b;  // [rank][rows], [rank][cols]

  static std::size_t scratch_bytes(std::size_t rank, matrix_shape const& m) {
    return scratch::bytes_for<double>(rank * m.rows) + scratch::bytes_for<double>(rank * m.cols);
  }
  double_factors(std::size_t count, matrix_shape const& m, scratch& memory)
      : rank(count), shape(m), u(memory.take<double>(count * m.rows)), b(memory.take<double>(count * m.cols)) {}

  /// P [rows][rank], with signs fixed, then Q [rank][cols].
  void write(float* carrier) const {
    fix_signs(rank, u, shape.rows, b, shape.cols);
    float *const p = carrier, *const q = p + shape.rows * rank;
    for (std::size_t k = 0; k < rank; ++k)
      for (std::size_t i = 0; i < shape.rows; ++i) p[i * rank + k] = narrowed(u[k * shape.rows + i]);
    for (std::size_t i = 0; i < rank * shape.cols; ++i) q[i] = narrowed(b[i]);
  }
  [[nodiscard]] double largest_u() const { return largest(u, rank * shape.rows); }
  [[nodiscard]] double largest_b() const { return largest(b, rank * shape.cols); }

 private:
  static double largest(double const* x, std::size_t n) {
    double most = 0;
    for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
    return most;
  }
};
/// Factors from here on count as not finite: see factor_limit_bits.
inline constexpr double factor_limit = 0x1p112;

}  // namespace detail
CCOMP_END
