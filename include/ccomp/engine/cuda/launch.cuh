#pragma once
/// What kernels are written with beside CUDA's own names: shared memory, unrolling, launching. nvcc compiles them for
/// the GPU; a simulator, included before, may define CCOMP_CUDA_SIM and run the same kernels on the host.

#include <ccomp/config.hpp>
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

CCOMP_BEGIN
namespace detail {

/// Queues `kernel<<<grid, block>>>(args...)` on the stream; a grid of 0 blocks is no launch. Throws cuda_error with
/// `name` when the runtime refuses it.
template <class... P, class... A>
void launch(cuda_exec const& ex, char const* name, void (*kernel)(P...), dim3 grid, unsigned block, A const&... args) {
  static_assert(sizeof...(P) == sizeof...(A),
                "ccomp: a kernel is launched with as many arguments as it has parameters");
  if (grid.x == 0 || grid.y == 0) return;
#if defined(__CUDACC__)
  kernel<<<grid, block, 0, ex.stream()>>>(args...);
#else
  ::cuda_sim::launch(ex.stream(), name, kernel, grid, block, args...);
#endif
  check_cuda(cudaGetLastError(), name);
}

}  // namespace detail
CCOMP_END
