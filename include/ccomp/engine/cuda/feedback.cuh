#pragma once
/// What error feedback does to its residual between calls.

#include <ccomp/engine/cuda/values.cuh>
#include <ccomp/engine/host/convert.hpp>

CCOMP_BEGIN
namespace detail {

template <class Values> __global__ void scale_values_kernel(Values v, std::uint64_t n, float factor) {
  std::uint64_t const i = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float x[4];
  load_quad(v, i, n, x);
  CCOMP_UNROLL
  for (float& each : x) each = mul(each, factor);
  store_quad(v, i, n, x);
}
inline void scale_values(cuda_exec const& ex, values const& v, float factor) {
  expect_device(ex, "error_feedback::scale");
  constexpr unsigned threads = 128;
  auto const blocks = static_cast<unsigned>(ceil_div(ceil_div(v.n, 4), threads));
  launch(ex, "scale_values", scale_values_kernel<device_values>, dim3(blocks), threads, device_values(v.data, v.type),
         std::uint64_t{v.n}, factor);
  ex.note_use(v.data);
}

}  // namespace detail
CCOMP_END
