#pragma once
/// Sums and maxima over ranks on a GPU: the numbers of engine/host/typed_sum.hpp, in its order.

#include <ccomp/core/communicator.hpp>
#include <ccomp/engine/cuda/values.cuh>

CCOMP_BEGIN
namespace detail {

struct typed_sum_call {
  std::byte const* sources = nullptr;  // rank r's values start at r times stride
  std::uint64_t stride = 0;            // bytes, a multiple of 16
  int count = 1;
  void* out = nullptr;
  std::uint64_t n = 0;
  wire_type type{};
  wire_op op{};
};

__device__ inline long long load_integer(void const* from, std::uint64_t i, wire_type type) {
  switch (type) {
    case wire_type::int8:
      return static_cast<std::int8_t const*>(from)[i];
    case wire_type::int16:
      return static_cast<std::int16_t const*>(from)[i];
    case wire_type::int32:
      return static_cast<std::int32_t const*>(from)[i];
    default:
      return static_cast<std::uint32_t const*>(from)[i];
  }
}
/// Wraps around, as the host's sums do.
__device__ inline void store_integer(void* to, std::uint64_t i, wire_type type, long long v) {
  switch (wire_bytes(type)) {
    case 1:
      static_cast<std::uint8_t*>(to)[i] = static_cast<std::uint8_t>(v);
      break;
    case 2:
      static_cast<std::uint16_t*>(to)[i] = static_cast<std::uint16_t>(v);
      break;
    default:
      static_cast<std::uint32_t*>(to)[i] = static_cast<std::uint32_t>(v);
  }
}

/// Four values a thread. `out` may start anywhere, so that its groups of four need not start on their size.
template <bool Floats> __global__ void __launch_bounds__(256) typed_sum_kernel(typed_sum_call call) {
  std::uint64_t const first = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (first >= call.n) return;
  if constexpr (Floats) {
    auto const type = static_cast<element_type>(call.type);
    float sum[4];
    load_quad({call.sources, type}, first, call.n, sum);
    for (int r = 1; r < call.count; ++r) {
      float x[4];
      load_quad({call.sources + static_cast<std::uint64_t>(r) * call.stride, type}, first, call.n, x);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) sum[c] = add(sum[c], x[c]);
    }
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) sum[c] = canonical(sum[c]);
    store_quad({call.out, type}, first, call.n, sum);
  } else {
    std::uint64_t const end = first + 4 < call.n ? first + 4 : call.n;
    for (std::uint64_t i = first; i < end; ++i) {
      long long sum = load_integer(call.sources, i, call.type);
      for (int r = 1; r < call.count; ++r) {
        long long const x = load_integer(call.sources + static_cast<std::uint64_t>(r) * call.stride, i, call.type);
        sum = call.op == wire_op::sum ? sum + x : (sum > x ? sum : x);
      }
      store_integer(call.out, i, call.type, sum);
    }
  }
}

/// out = the sum (or, for integers, the maximum) of the sources.
inline void typed_sum(cuda_exec const& ex, typed_sum_call const& call) {
  launch(ex, "typed_sum", call.type <= wire_type::bfloat16 ? typed_sum_kernel<true> : typed_sum_kernel<false>,
         dim3(static_cast<unsigned>(ceil_div(call.n, 1024))), 256, call);
}

}  // namespace detail
CCOMP_END
