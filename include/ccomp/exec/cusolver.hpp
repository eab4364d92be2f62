#pragma once
/// Singular value decompositions by cuSOLVER (component `cusolver`). Runtime calls only, no kernels: any C++ compiler takes
/// this header.

#include <ccomp/exec/cuda.hpp>
#include <ccomp/exec/handle_pool.hpp>

#include <cusolverDn.h>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

/// Throws cuda_error that names the call.
inline void check_cusolver(cusolverStatus_t status, char const* call, source at = source::current()) {
  if (status == CUSOLVER_STATUS_SUCCESS) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());  // which cuSOLVER may have left, and which is told here
  fail<cuda_error>(sentence(call, ": cuSOLVER returns status ", static_cast<int>(status)), at);
}

/// A handle for as long as the workspace keeps it. Made of the device that is current.
class cusolver {
 public:
  explicit cusolver(cuda_exec const& ex) : device_(ex.device()), own_(pool::instance().take(device_, make)) {}
  cusolver(cusolver const&) = delete;
  cusolver& operator=(cusolver const&) = delete;
  ~cusolver() { pool::instance().give_back(device_, own_); }

  /// Room for the decomposition of an m x n matrix, in floats: u [m][s], v [n][s], s = min(m, n), and what cuSOLVER uses
  /// besides. `values`: the singular values, in descending order.
  struct svd_room {
    int m, n, s, work;
    [[nodiscard]] std::size_t u_size() const { return static_cast<std::size_t>(m) * static_cast<std::size_t>(s); }
    [[nodiscard]] std::size_t v_size() const { return static_cast<std::size_t>(n) * static_cast<std::size_t>(s); }
  };
  [[nodiscard]] svd_room room_of(std::size_t m, std::size_t n) const {
    svd_room r{static_cast<int>(m), static_cast<int>(n), static_cast<int>(std::min(m, n)), 0};
    check_cusolver(cusolverDnSgesvdj_bufferSize(own_.solver, CUSOLVER_EIG_MODE_VECTOR, 1, r.m, r.n, nullptr, r.m,
                                                nullptr, nullptr, r.m, nullptr, r.n, &r.work, own_.jacobi),
                   "cusolverDnSgesvdj_bufferSize");
    return r;
  }
  /// a = u diag(values) v^T, all column by column; `a` is lost. `info` is device memory: 0 if all went well. Jacobi's
  /// method, to the precision of float. It may wait for the stream, so that no graph can record it.
  void svd(cuda_exec const& ex, svd_room const& r, float* a, float* values, float* u, float* v, float* work,
           int* info) const {
    if (loading_kernels()) return;
    check_cusolver(cusolverDnSetStream(own_.solver, ex.stream()), "cusolverDnSetStream");
    check_cusolver(cusolverDnSgesvdj(own_.solver, CUSOLVER_EIG_MODE_VECTOR, 1, r.m, r.n, a, r.m, values, u, r.m, v, r.n,
                                     work, r.work, info, own_.jacobi),
                   "cusolverDnSgesvdj");
  }

 private:
  struct handles {
    cusolverDnHandle_t solver = nullptr;
    gesvdjInfo_t jacobi = nullptr;
  };
  using pool = handle_pool<handles>;
  static handles make() {
    handles made;
    check_cusolver(cusolverDnCreate(&made.solver), "cusolverDnCreate");
    check_cusolver(cusolverDnCreateGesvdjInfo(&made.jacobi), "cusolverDnCreateGesvdjInfo");
    return made;
  }

  int device_;
  handles own_;
};

}  // namespace detail
CCOMP_END
