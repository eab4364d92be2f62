// Compiled, never run: the stages that bring their own rounds, with all of their kernels.
#include <ccomp/quantize/shared_scale.cuh>
#if __has_include(<nccl.h>)
#include <ccomp/comm/nccl.hpp>

std::size_t sum(ccomp::cuda_exec const& ex, ccomp::nccl_communicator& comm, ccomp::workspace<ccomp::cuda_exec>& ws,
                ccomp::detail::device_reduce_call const& call) {
  using namespace ccomp;
  return detail::device_protocol<shared_scale_quantize<4>>::reduce({}, ex, comm, ws, call);
}
#if __has_include(<Eigen/QR>) && __has_include(<cublas_v2.h>)
#include <ccomp/low_rank/power_sgd.cuh>

std::size_t factors(ccomp::cuda_exec const& ex, ccomp::nccl_communicator& comm, ccomp::workspace<ccomp::cuda_exec>& ws,
                    ccomp::detail::device_reduce_call const& call) {
  return ccomp::detail::device_protocol<ccomp::power_sgd>::reduce({}, ex, comm, ws, call);
}
#endif
#endif
