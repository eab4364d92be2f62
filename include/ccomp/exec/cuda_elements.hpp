#pragma once
/// CUDA's own half-precision types as elements: a span of `__half` or `__nv_bfloat16` is taken as it is.

#include <ccomp/core/types.hpp>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace ccomp::formats {

template <> struct element_type_trait<__half> {
  static constexpr element_type value = element_type::float16;
};
template <> struct element_type_trait<__nv_bfloat16> {
  static constexpr element_type value = element_type::bfloat16;
};

}  // namespace ccomp::formats
