#pragma once
/// What error feedback does to its residual between calls.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/storage.hpp>
#include <ccomp/core/tensor.hpp>
#include <ccomp/engine/cuda/values.cuh>

CCOMP_BEGIN
namespace detail {

CCOMP_KERNEL scale_values_kernel(device_values v, std::uint64_t n, float factor) {
  std::uint64_t const i = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float x[4];
  load_quad(v, i, n, x);
  CCOMP_UNROLL
  for (float& each : x) each = mul(each, factor);
  store_quad(v, i, n, x);
}
CCOMP_KERNEL find_infinite_kernel(device_values v, std::uint64_t n, float factor, std::uint32_t* found) {
  std::uint64_t const i = 4 * (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float x[4];
  load_quad(v, i, n, x);
  bool good = true;
  CCOMP_UNROLL
  for (float const each : x) {
    float const scaled = mul(each, factor);
    good = good && is_finite(v.type == element_type::bfloat16 ? static_cast<float>(bfloat16(scaled)) : scaled);
  }
  if (!good) atomicMax(found, 1u);
}
/// Waits for the answer.
inline bool stays_finite(cuda_exec const& ex, values const& v, float factor) {
  expect_device(ex, "error_feedback::scale");
  expects(
      !ex.capturing(),
      "error_feedback::scale: a factor above 1 is checked first, and the check cannot wait while the stream records "
      "a graph; call it before recording");
  constexpr unsigned threads = 128;
  auto const blocks = static_cast<unsigned>(ceil_div(ceil_div(v.n, 4), threads));
  storage<std::uint32_t, cuda_exec> const found(ex, 1);
  launch(ex, "find_infinite", find_infinite_kernel<>, dim3(blocks), threads, device_values(v.data, v.type),
         std::uint64_t{v.n}, factor, found.span().data());
  std::uint32_t answer = 0;
  found.save(&answer);
  return answer == 0;
}
inline void scale_values(cuda_exec const& ex, values const& v, float factor) {
  expect_device(ex, "error_feedback::scale");
  constexpr unsigned threads = 128;
  auto const blocks = static_cast<unsigned>(ceil_div(ceil_div(v.n, 4), threads));
  launch(ex, "scale_values", scale_values_kernel<>, dim3(blocks), threads, device_values(v.data, v.type),
         std::uint64_t{v.n}, factor);
  ex.note_use(v.data);
}

}  // namespace detail
CCOMP_END
