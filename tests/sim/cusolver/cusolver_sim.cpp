// The functions of cusolverDn.h that ccomp calls.
#include "cusolver_sim.hpp"

#include "../device_library.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>

struct cusolverDnContext {
  int device = 0;
  cudaStream_t stream = nullptr;
};
struct gesvdjInfo {};

namespace {

struct decomposition {
  int m, n;
  float *a, *values, *u, *v, *work;
  int ld_a, ld_u, ld_v, work_size;
  int* info;
};

using state = device_library::state<cusolverDnContext, cusolverStatus_t, decomposition>;
using device_library::on_device;

template <class Body> cusolverStatus_t api(char const* function, cusolverDnHandle_t handle, Body body) {
  return state::api(function, handle, CUSOLVER_STATUS_NOT_INITIALIZED, body);
}

double product(std::vector<double> const& x, std::vector<double> const& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}
/// Turns x and y so that they are orthogonal, and p and q likewise (Hestenes 1958). False: they were.
bool make_orthogonal(std::vector<double>& x, std::vector<double>& y, std::vector<double>& p, std::vector<double>& q) {
  double const xx = product(x, x), yy = product(y, y), xy = product(x, y);
  if (!(std::abs(xy) > 1e-15 * std::sqrt(xx * yy))) return false;
  double const zeta = (yy - xx) / (2 * xy);
  double const t = std::copysign(1 / (std::abs(zeta) + std::sqrt(1 + zeta * zeta)), zeta);
  double const c = 1 / std::sqrt(1 + t * t), s = c * t;
  auto const turn = [&](std::vector<double>& first, std::vector<double>& second) {
    for (std::size_t i = 0; i < first.size(); ++i) {
      double const f = first[i], g = second[i];
      first[i] = c * f - s * g;
      second[i] = s * f + c * g;
    }
  };
  turn(x, y);
  turn(p, q);
  return true;
}

void CUDART_CB run(void* data) {
  decomposition const& d = *static_cast<decomposition const*>(data);
  std::fill(d.work, d.work + d.work_size, std::nanf(""));
  bool const wide = d.n > d.m;  // then the columns are those of the transpose
  auto const count = static_cast<std::size_t>(std::min(d.m, d.n)),
             length = static_cast<std::size_t>(std::max(d.m, d.n));
  std::vector<std::vector<double>> x(count, std::vector<double>(length)), turned(count, std::vector<double>(count));
  for (std::size_t k = 0; k < count; ++k) {
    turned[k][k] = 1;
    for (std::size_t i = 0; i < length; ++i) {
      std::size_t const row = wide ? k : i, column = wide ? i : k;
      x[k][i] = static_cast<double>(d.a[column * static_cast<std::size_t>(d.ld_a) + row]);
    }
  }
  bool settled = false;
  for (int sweep = 0; sweep < 60 && !settled; ++sweep) {
    settled = true;
    for (std::size_t p = 0; p < count; ++p)
      for (std::size_t q = p + 1; q < count; ++q)
        if (make_orthogonal(x[p], x[q], turned[p], turned[q])) settled = false;
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::vector<double> size(count);
  for (std::size_t k = 0; k < count; ++k) size[k] = std::sqrt(product(x[k], x[k]));
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return size[i] > size[j]; });
  for (std::size_t k = 0; k < count; ++k) {
    std::size_t const from = order[k];
    d.values[k] = static_cast<float>(size[from]);
    float *const of_long =
                     wide ? d.v + k * static_cast<std::size_t>(d.ld_v) : d.u + k * static_cast<std::size_t>(d.ld_u),
                 *const of_short =
                     wide ? d.u + k * static_cast<std::size_t>(d.ld_u) : d.v + k * static_cast<std::size_t>(d.ld_v);
    for (std::size_t i = 0; i < length; ++i)
      of_long[i] = static_cast<float>(size[from] > 0 ? x[from][i] / size[from] : 0);
    for (std::size_t i = 0; i < count; ++i) of_short[i] = static_cast<float>(turned[from][i]);
  }
  std::fill(d.a, d.a + static_cast<std::size_t>(d.ld_a) * static_cast<std::size_t>(d.n), std::nanf(""));
  *d.info = settled ? 0 : d.n + 1;
}

}  // namespace

int cusolver_sim::handles() { return state::handle_count(); }
void cusolver_sim::fail_next(std::string function, cusolverStatus_t status) {
  state::fail_next(std::move(function), status);
}

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* out) {
  if (!device_library::may_wait()) return CUSOLVER_STATUS_ALLOC_FAILED;
  state& s = state::get();
  std::lock_guard const hold(s.lock);
  if (auto const status = s.planned("cusolverDnCreate")) return *status;
  s.handles.push_back(std::make_unique<cusolverDnContext>());
  if (cudaGetDevice(&s.handles.back()->device) != cudaSuccess) return CUSOLVER_STATUS_NOT_INITIALIZED;
  *out = s.handles.back().get();
  return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnCreateGesvdjInfo(gesvdjInfo_t* out) {
  static gesvdjInfo settings;  // it holds nothing
  *out = &settings;
  return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  return api("cusolverDnSetStream", handle, [&](state&) {
    handle->stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
  });
}
cusolverStatus_t cusolverDnSgesvdj_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t, int, int m, int n,
                                              float const*, int lda, float const*, float const*, int ldu, float const*,
                                              int ldv, int* lwork, gesvdjInfo_t) {
  return api("cusolverDnSgesvdj_bufferSize", handle, [&](state&) {
    if (m < 1 || n < 1 || lda < m || ldu < m || ldv < n) return CUSOLVER_STATUS_INVALID_VALUE;
    *lwork = 3 * std::min(m, n) + 7;
    return CUSOLVER_STATUS_SUCCESS;
  });
}
cusolverStatus_t cusolverDnSgesvdj(cusolverDnHandle_t handle, cusolverEigMode_t mode, int econ, int m, int n, float* a,
                                   int lda, float* values, float* u, int ldu, float* v, int ldv, float* work, int lwork,
                                   int* info, gesvdjInfo_t settings) {
  return api("cusolverDnSgesvdj", handle, [&](state& s) {
    bool const shaped = m >= 1 && n >= 1 && lda >= m && ldu >= m && ldv >= n && lwork >= 3 * std::min(m, n) + 7;
    if (!shaped || !settings || mode != CUSOLVER_EIG_MODE_VECTOR || econ != 1) return CUSOLVER_STATUS_INVALID_VALUE;
    int device = -1;
    auto capture = cudaStreamCaptureStatusNone;
    if (cudaGetDevice(&device) != cudaSuccess || device != handle->device ||
        cudaStreamIsCapturing(handle->stream, &capture) != cudaSuccess || capture != cudaStreamCaptureStatusNone)
      return CUSOLVER_STATUS_EXECUTION_FAILED;
    // The last element of each array, too.
    auto const reachable = [&](auto const* p, std::int64_t size) {
      return on_device(p, device) && on_device(p + size - 1, device);
    };
    std::int64_t const count = std::min(m, n);
    if (!reachable(a, std::int64_t{lda} * n) || !reachable(values, count) || !reachable(u, ldu * count) ||
        !reachable(v, ldv * count) || !reachable(work, lwork) || !reachable(info, 1))
      return CUSOLVER_STATUS_INVALID_VALUE;
    s.queued.push_back(
        std::make_unique<decomposition>(decomposition{m, n, a, values, u, v, work, lda, ldu, ldv, lwork, info}));
    return cudaLaunchHostFunc(handle->stream, run, s.queued.back().get()) == cudaSuccess
               ? CUSOLVER_STATUS_SUCCESS
               : CUSOLVER_STATUS_EXECUTION_FAILED;
  });
}

}  // extern "C"
