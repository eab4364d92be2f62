#pragma once
/// Values times the weight of a rank, on a GPU: the numbers of engine/host/weigh.hpp.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/weight.hpp>
#include <ccomp/engine/cuda/values.cuh>

CCOMP_BEGIN
namespace detail {

struct weigh_call {
  device_values in{}, out{};
  std::uint64_t n = 0;
  float weight = 1;
  float const* weights = nullptr;  // of all ranks: the factor is this rank's share; null: the factor is the weight
  unsigned ranks = 1, rank = 0;
};

CCOMP_KERNEL write_weight_kernel(float weight, float* to) { *to = weight; }

/// Four values a thread.
CCOMP_KERNEL weigh_kernel(weigh_call call) {
  CCOMP_SHARED(float, factor);
  if (threadIdx.x == 0) factor = call.weights ? weight_share(call.weights, call.ranks, call.rank) : call.weight;
  __syncthreads();
  std::uint64_t const first = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (first >= call.n) return;
  float x[4];
  load_quad(call.in, first, call.n, x);
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) x[c] = canonical(mul(x[c], factor));
  store_quad(call.out, first, call.n, x);
}

inline void queue_weigh(cuda_exec const& ex, weigh_call const& call) {
  constexpr unsigned threads = 256;
  launch(ex, "weigh", weigh_kernel<>, dim3(static_cast<unsigned>(ceil_div(call.n, std::uint64_t{4} * threads))),
         threads, call);
}

}  // namespace detail
CCOMP_END
