// Compiled, never run: the stages that bring their own rounds, with all of their kernels, and those of power_sgd alone.
#include <ccomp/codec.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
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
