#pragma once

// Host code only. Annotated for kernels, Eigen makes nvcc warn; who wants it in kernels includes it before this header.
#if defined(__CUDACC__) && !defined(EIGEN_NO_CUDA)
#define EIGEN_NO_CUDA
#endif
#include <ccomp/core/config.hpp>

#include <Eigen/Householder>

#include <cstddef>

CCOMP_BEGIN
namespace detail {

/// Replaces the columns of p [rows][rank] (rank <= rows) by orthonormal ones that span them and, where they are
/// dependent or zero, more directions: Householder reflections in double, so that no division by a small norm can
/// happen. Column by column: Eigen's QR gives the same bits, is no faster for the ranks of low-rank compressors, and takes
/// three times as long to compile.
inline void orthonormalise(float* p, std::size_t rows, std::size_t rank) {
  using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto const m = static_cast<Eigen::Index>(rows), r = static_cast<Eigen::Index>(rank);
  Eigen::Map<row_major> matrix(p, m, r);
  Eigen::MatrixXd reflectors = matrix.cast<double>();  // below the diagonal; the triangle above is not needed
  Eigen::VectorXd scales(r), spare(r);
  auto const reflect = [&](Eigen::Index k, auto&& columns) {
    columns.applyHouseholderOnTheLeft(reflectors.col(k).tail(m - k - 1), scales(k), spare.data());
  };
  for (Eigen::Index k = 0; k < r; ++k) {
    double diagonal = 0;
    reflectors.col(k).tail(m - k).makeHouseholderInPlace(scales(k), diagonal);
    reflect(k, reflectors.bottomRightCorner(m - k, r - k - 1));
  }
  Eigen::MatrixXd thin = Eigen::MatrixXd::Identity(m, r);
  for (Eigen::Index k = r; k-- > 0;) reflect(k, thin.bottomRightCorner(m - k, r - k));
  matrix = thin.cast<float>();
}

}  // namespace detail
CCOMP_END
