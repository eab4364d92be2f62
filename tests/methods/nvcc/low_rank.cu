// Compiled, never run: the stages that bring their own rounds, with all of their kernels; power_sgd alone; and the kernels that
// svd and randomized_svd add to its own.
#include <ccomp/codec.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/low_rank/randomized_svd.cuh>
#include <ccomp/low_rank/svd.cuh>
#include <ccomp/quantize/shared_scale.cuh>

using namespace ccomp;

std::size_t sum(cuda_exec const& ex, nccl_communicator& comm, workspace<cuda_exec>& ws,
                std::span<detail::device_reduce_call const> calls, std::span<std::byte> memory) {
  return detail::device_protocol<shared_scale_quantize<4>>::reduce({}, ex, comm, ws, calls, memory);
}
std::size_t factors(cuda_exec const& ex, nccl_communicator& comm, workspace<cuda_exec>& ws,
                    std::span<detail::device_reduce_call const> calls, std::span<std::byte> memory) {
  return detail::device_protocol<power_sgd>::reduce({}, ex, comm, ws, calls, memory);
}
void alone(std::span<float> x, std::span<std::byte> payload) {
  cuda_exec const ex;
  workspace<cuda_exec> ws{ex};
  encode(ex, power_sgd{}, x, payload, ws);
  decode(ex, power_sgd{}, payload, x, ws);
}

template __global__ void detail::largest_kernel<>(float const*, std::uint64_t, unsigned*);
template __global__ void detail::scale_kernel<>(float const*, std::uint64_t, unsigned const*, float*, unsigned*);
template __global__ void detail::take_columns_kernel<>(float const*, std::uint64_t, std::uint32_t, float*);
template __global__ void detail::fix_signs_kernel<>(float*, std::uint64_t, std::uint32_t, float*, std::uint64_t);
