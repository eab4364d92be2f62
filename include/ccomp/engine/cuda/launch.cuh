#pragma once
/// What kernels are written with beside CUDA's own names: shared memory, unrolling, launching. nvcc compiles them for
/// the GPU; a simulator, included before, may define CCOMP_CUDA_SIM and run the same kernels on the host.

#include <ccomp/core/config.hpp>
#include <ccomp/exec/cuda.hpp>

#include <type_traits>

#if !defined(__CUDACC__) && !defined(CCOMP_CUDA_SIM)
#error "ccomp: this header holds GPU kernels, compile the file that includes it with nvcc"
#endif

// Under the simulator these macros are its own.
#if defined(__CUDACC__)
/// Static shared memory: `CCOMP_SHARED(float[64], values);`. T is an array or a type that needs no constructor.
#define CCOMP_SHARED(T, name) __shared__ std::type_identity_t<T> name
#if defined(__CUDA_ARCH__)
#define CCOMP_UNROLL _Pragma("unroll")
#define CCOMP_ROLLED _Pragma("unroll 1")
#else
/// Before a loop: unrolled on the device, or not (registers are scarce there); the host's pass over the same text would
/// warn about the pragma.
#define CCOMP_UNROLL
#define CCOMP_ROLLED
#endif
#endif

/// A kernel in a header. nvcc knows no inline kernels, so it is a template of nothing: `kernel<>`, or `kernel<Queue>`
/// where a template must not name it before somebody calls.
#define CCOMP_KERNEL template <class = void> __global__ void

CCOMP_BEGIN
namespace detail {

/// Launches, and returns what the launch itself says: the runtime's last error may be the caller's, who polls an event,
/// say, and then it stays his.
template <class... P>
cudaError_t launch_now(cuda_exec const& ex, char const* name, void (*kernel)(P...), dim3 grid, unsigned block,
                       std::type_identity_t<P>... parameters) {
#if defined(__CUDACC__)
  static_cast<void>(name);
  void* pointers[] = {static_cast<void*>(&parameters)..., nullptr};
  return cudaLaunchKernel(reinterpret_cast<void const*>(kernel), grid, dim3(block), pointers, 0, ex.stream());
#else
  return ::cuda_sim::launch(ex.stream(), name, kernel, grid, block, parameters...);
#endif
}

/// Queues `kernel<<<grid, block>>>(args...)` on the stream; a grid of 0 blocks is no launch. Throws cuda_error with
/// `name` when the runtime refuses it. Within load_kernels the kernel is loaded, and not launched.
template <class... P, class... A>
void launch(cuda_exec const& ex, char const* name, void (*kernel)(P...), dim3 grid, unsigned block, A const&... args) {
  static_assert(sizeof...(P) == sizeof...(A),
                "ccomp: a kernel is launched with as many arguments as it has parameters");
  if (grid.x == 0 || grid.y == 0) return;
  if (loading_kernels()) {
    cudaFuncAttributes asked{};
    return check_cuda(cudaFuncGetAttributes(&asked, reinterpret_cast<void const*>(kernel)), name);
  }
  check_cuda(launch_now(ex, name, kernel, grid, block, args...), name);
}

}  // namespace detail
CCOMP_END
