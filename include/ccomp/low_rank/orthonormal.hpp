#pragma once

// Host code only. Annotated for kernels, Eigen makes nvcc warn; who wants it in kernels includes it before this header.
#if defined(__CUDACC__) && !defined(EIGEN_NO_CUDA)
#define EIGEN_NO_CUDA
#endif
#include <ccomp/core/config.hpp>

#include <Eigen/QR>

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
