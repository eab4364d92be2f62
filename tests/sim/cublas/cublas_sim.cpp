// The functions of cublas_v2.h that ccomp calls.
#include "cublas_sim.hpp"

#include "../device_library.hpp"

#include <cstdint>
#include <cstring>

struct cublasContext {
  int device = 0;
  cudaStream_t stream = nullptr;
  std::byte* workspace = nullptr;  // the caller's
  std::size_t workspace_size = 0;
  cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
};

namespace {

/// One product, queued; graphs may run it again, so it lives as long as the program.
struct product {
  bool transpose_a, transpose_b;
  int m, n, k;
  float alpha, beta;
  float const *a, *b;
  int lda, ldb;
  float* c;
  int ldc;
  std::byte* workspace;
  std::size_t workspace_size;
};

using state = device_library::state<cublasContext, cublasStatus_t, product>;
using device_library::on_device;

template <class Body> cublasStatus_t api(char const* function, cublasHandle_t handle, Body body) {
  return state::api(function, handle, CUBLAS_STATUS_NOT_INITIALIZED, body);
}

void CUDART_CB run(void* data) {
  product const& p = *static_cast<product const*>(data);
  // What is in the workspace is lost: whoever keeps something there finds NaN.
  std::size_t const edge = p.workspace_size < 4096 ? p.workspace_size : 4096;
  if (edge > 0) {
    std::memset(p.workspace, 0xff, edge);
    std::memset(p.workspace + p.workspace_size - edge, 0xff, edge);
  }
  auto const at = [](float const* x, int stride, bool transposed, int row, int column) {
    return x[transposed ? std::int64_t{row} * stride + column : std::int64_t{column} * stride + row];
  };
  for (int j = 0; j < p.n; ++j)
    for (int i = 0; i < p.m; ++i) {
      float sum = 0;
      for (int l = 0; l < p.k; ++l) sum += at(p.a, p.lda, p.transpose_a, i, l) * at(p.b, p.ldb, p.transpose_b, l, j);
      float& c = p.c[std::int64_t{j} * p.ldc + i];
      c = p.alpha * sum + (p.beta == 0 ? 0 : p.beta * c);
    }
}

}  // namespace

int cublas_sim::handles() { return state::handle_count(); }
void cublas_sim::fail_next(std::string function, cublasStatus_t status) {
  state::fail_next(std::move(function), status);
}

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* out) {
  if (!device_library::may_wait()) return CUBLAS_STATUS_ALLOC_FAILED;
  state& s = state::get();
  std::lock_guard const hold(s.lock);
  if (auto const status = s.planned("cublasCreate")) return *status;
  s.handles.push_back(std::make_unique<cublasContext>());
  if (cudaGetDevice(&s.handles.back()->device) != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *out = s.handles.back().get();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return api("cublasSetStream", handle, [&](state&) {
    handle->stream = stream;
    handle->workspace = nullptr;
    handle->workspace_size = 0;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* memory, size_t size) {
  return api("cublasSetWorkspace", handle, [&](state&) {
    bool const fits = size == 0 || (on_device(memory, handle->device) &&
                                    on_device(static_cast<std::byte*>(memory) + size - 1, handle->device));
    if (!fits || reinterpret_cast<std::uintptr_t>(memory) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = static_cast<std::byte*>(memory);
    handle->workspace_size = size;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return api("cublasSetMathMode", handle, [&](state&) {
    // Faster arithmetic than fp32 is not what ccomp promises.
    return mode == CUBLAS_DEFAULT_MATH || mode == CUBLAS_PEDANTIC_MATH ? CUBLAS_STATUS_SUCCESS
                                                                       : CUBLAS_STATUS_NOT_SUPPORTED;
  });
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
  return api("cublasSetAtomicsMode", handle, [&](state&) {
    handle->atomics = mode;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n,
                              int k, float const* alpha, float const* a, int lda, float const* b, int ldb,
                              float const* beta, float* c, int ldc) {
  return api("cublasSgemm", handle, [&](state& s) {
    bool const transpose_a = op_a != CUBLAS_OP_N, transpose_b = op_b != CUBLAS_OP_N;
    int const rows_a = transpose_a ? k : m, rows_b = transpose_b ? n : k;
    auto const tall = [](int stride, int rows) { return stride >= (rows > 1 ? rows : 1); };
    if (m < 0 || n < 0 || k < 0 || !alpha || !beta || !tall(lda, rows_a) || !tall(ldb, rows_b) || !tall(ldc, m))
      return CUBLAS_STATUS_INVALID_VALUE;
    if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
    int device = -1;
    auto capture = cudaStreamCaptureStatusNone;
    bool const usable = cudaGetDevice(&device) == cudaSuccess && device == handle->device &&
                        cudaStreamIsCapturing(handle->stream, &capture) == cudaSuccess;
    bool const reachable = (k == 0 || (on_device(a, device) && on_device(b, device))) && on_device(c, device);
    if (!usable || !reachable) return CUBLAS_STATUS_INVALID_VALUE;
    // Without a workspace of the caller's a capture would allocate in the graph; with atomics runs would differ.
    if (!handle->workspace || handle->atomics != CUBLAS_ATOMICS_NOT_ALLOWED) return CUBLAS_STATUS_NOT_SUPPORTED;
    s.queued.push_back(std::make_unique<product>(product{transpose_a, transpose_b, m, n, k, *alpha, *beta, a, b, lda,
                                                         ldb, c, ldc, handle->workspace, handle->workspace_size}));
    return cudaLaunchHostFunc(handle->stream, run, s.queued.back().get()) == cudaSuccess
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

char const* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "another status of cuBLAS";
  }
}
char const* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "the stand-in for cuBLAS refuses";
}

}  // extern "C"
