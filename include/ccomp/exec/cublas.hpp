#pragma once
/// Products of matrices by cuBLAS (component `cublas`). Runtime calls only, no kernels: any C++ compiler takes this header.

#include <ccomp/exec/cuda.hpp>
#include <ccomp/exec/handle_pool.hpp>

#include <cublas_v2.h>

#include <span>

CCOMP_BEGIN
namespace detail {

/// Throws cuda_error that names the call.
inline void check_cublas(cublasStatus_t status, char const* call, source at = source::current()) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());  // which cuBLAS may have left, and which is told here
  fail<cuda_error>(sentence(call, ": ", cublasGetStatusString(status), " (", cublasGetStatusName(status), ")"), at);
}

/// What cuBLAS may use besides the matrices, as its documentation advises for the largest GPUs; and room to align it.
inline constexpr std::size_t cublas_workspace_bytes = std::size_t{32} << 20, cublas_alignment = 256;

/// A handle for as long as the workspace keeps it. Made of the device that is current.
class cublas {
 public:
  explicit cublas(cuda_exec const& ex) : device_(ex.device()), handle_(pool::instance().take(device_, make)) {}
  cublas(cublas const&) = delete;
  cublas& operator=(cublas const&) = delete;
  ~cublas() { pool::instance().give_back(device_, handle_); }

  /// A matrix as cuBLAS sees it: column by column, `stride` floats apart; or its transpose.
  struct operand {
    float const* data;
    std::size_t stride;
    bool transposed;
  };
  /// c [m][n] (column by column, m floats apart) = a [m][k] b [k][n], in fp32 without TF32, in an order that depends on
  /// the shapes and the GPU's type alone. `memory`: cublas_workspace_bytes + cublas_alignment of device memory, the
  /// call's own, so that calls may be captured and may overlap with others. Sizes are below 2^31.
  void multiply(cuda_exec const& ex, std::size_t m, std::size_t n, std::size_t k, operand const& a, operand const& b,
                float* c, std::span<std::byte> memory) const {
    if (loading_kernels()) return;
    auto const skip =
        (cublas_alignment - reinterpret_cast<std::uintptr_t>(memory.data()) % cublas_alignment) % cublas_alignment;
    // The stream first: setting it puts the workspace back to cuBLAS's own.
    check_cublas(cublasSetStream(handle_, ex.stream()), "cublasSetStream");
    check_cublas(cublasSetWorkspace(handle_, memory.data() + skip, cublas_workspace_bytes), "cublasSetWorkspace");
    check_cublas(cublasSetMathMode(handle_, CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
    check_cublas(cublasSetAtomicsMode(handle_, CUBLAS_ATOMICS_NOT_ALLOWED), "cublasSetAtomicsMode");
    float const one = 1, zero = 0;
    auto const op = [](operand const& o) { return o.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
    check_cublas(
        cublasSgemm(handle_, op(a), op(b), static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), &one, a.data,
                    static_cast<int>(a.stride), b.data, static_cast<int>(b.stride), &zero, c, static_cast<int>(m)),
        "cublasSgemm");
  }

 private:
  using pool = handle_pool<cublasHandle_t>;
  static cublasHandle_t make() {
    cublasHandle_t made = nullptr;
    check_cublas(cublasCreate(&made), "cublasCreate");
    return made;
  }

  int device_;
  cublasHandle_t handle_;
};

}  // namespace detail
CCOMP_END
