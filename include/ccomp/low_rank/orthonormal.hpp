#pragma once

#if defined(__CUDACC__)  // nvcc warns about annotations of Eigen's
#pragma nv_diagnostic push
#pragma nv_diag_suppress 20012
#endif
#include <Eigen/QR>
#if defined(__CUDACC__)
#pragma nv_diagnostic pop
#endif
#include <ccomp/config.hpp>
#include <cstddef>

CCOMP_BEGIN
namespace detail {

/// Replaces the columns of p [rows][rank] (rank <= rows) by orthonormal ones that span them and, where they are
/// dependent or zero, more directions: Householder reflections in double, so that no division by a small norm can
/// happen.
inline void orthonormalise(float* p, std::size_t rows, std::size_t rank) {
  using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto const m = static_cast<Eigen::Index>(rows), r = static_cast<Eigen::Index>(rank);
  Eigen::Map<row_major> matrix(p, m, r);
  Eigen::HouseholderQR<Eigen::MatrixXd> const qr(matrix.cast<double>());
  Eigen::MatrixXd const thin = qr.householderQ() * Eigen::MatrixXd::Identity(m, r);
  matrix = thin.cast<float>();
}

}  // namespace detail
CCOMP_END
