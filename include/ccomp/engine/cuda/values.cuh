#pragma once
/// Values of any element type in device memory, four neighbours at a time.

#include <ccomp/core/numeric.hpp>
#include <ccomp/core/types.hpp>
#include <ccomp/engine/cuda/launch.cuh>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// n values of `type`; `whole`: groups of four, counted from the first value, start on their size.
struct device_values {
  void* data = nullptr;
  element_type type = element_type::float32;
  bool whole = false;

  device_values() = default;
  CCOMP_HD device_values(void const* p, element_type t)
      : data(const_cast<void*>(p)), type(t), whole(reinterpret_cast<std::uintptr_t>(p) % (4 * element_bytes(t)) == 0) {}
  explicit operator bool() const { return data != nullptr; }
};

/// The values from number `values` on.
CCOMP_HD inline device_values advanced(device_values const& m, std::uint64_t values) {
  return m.data ? device_values(static_cast<std::byte*>(m.data) + values * element_bytes(m.type), m.type) : m;
}

struct alignas(16) float_quad {
  float v[4];
};
struct alignas(8) half_quad {
  std::uint16_t v[4];
};

__device__ inline float widen_bits(element_type type, std::uint16_t bits) {
  return type == element_type::float16 ? static_cast<float>(float16::from_bits(bits))
                                       : static_cast<float>(bfloat16::from_bits(bits));
}
/// Saturates, as on the host: finite values stay finite.
__device__ inline std::uint16_t narrow_bits(element_type type, float x) {
  return type == element_type::float16 ? float16::saturated(x).bits : bfloat16::saturated(x).bits;
}

__device__ inline float load_value(device_values const& m, std::uint64_t i) {
  return m.type == element_type::float32 ? static_cast<float const*>(m.data)[i]
                                         : widen_bits(m.type, static_cast<std::uint16_t const*>(m.data)[i]);
}
__device__ inline void store_value(device_values const& m, std::uint64_t i, float v) {
  if (m.type == element_type::float32)
    static_cast<float*>(m.data)[i] = v;
  else
    static_cast<std::uint16_t*>(m.data)[i] = narrow_bits(m.type, v);
}

/// Values i to i + 3; zeros from n on.
__device__ inline void load_quad(device_values const& m, std::uint64_t i, std::uint64_t n, float (&v)[4]) {
  bool const all = m.whole && i + 4 <= n;
  if (m.type == element_type::float32) {
    auto const* const from = static_cast<float const*>(m.data) + i;
    if (all) {
      float_quad const q = *reinterpret_cast<float_quad const*>(from);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) v[c] = q.v[c];
    } else {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c) v[c] = i + c < n ? from[c] : 0.0f;
    }
  } else {
    auto const* const from = static_cast<std::uint16_t const*>(m.data) + i;
    if (all) {
      half_quad const q = *reinterpret_cast<half_quad const*>(from);
      CCOMP_UNROLL
      for (int c = 0; c < 4; ++c) v[c] = widen_bits(m.type, q.v[c]);
    } else {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c) v[c] = i + c < n ? widen_bits(m.type, from[c]) : 0.0f;
    }
  }
}

/// Stores the values of i to i + 3 that lie below n and whose bit in `mask` is set.
__device__ inline void store_quad(device_values const& m, std::uint64_t i, std::uint64_t n, float const (&v)[4],
                                  unsigned mask = 0xf) {
  bool const all = m.whole && i + 4 <= n && mask == 0xf;
  if (m.type == element_type::float32) {
    auto* const to = static_cast<float*>(m.data) + i;
    if (all) {
      *reinterpret_cast<float_quad*>(to) = {{v[0], v[1], v[2], v[3]}};
    } else {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c)
        if (i + c < n && (mask >> c & 1u)) to[c] = v[c];
    }
  } else {
    auto* const to = static_cast<std::uint16_t*>(m.data) + i;
    half_quad q;
    CCOMP_UNROLL
    for (int c = 0; c < 4; ++c) q.v[c] = narrow_bits(m.type, v[c]);
    if (all) {
      *reinterpret_cast<half_quad*>(to) = q;
    } else {
      CCOMP_UNROLL
      for (unsigned c = 0; c < 4; ++c)
        if (i + c < n && (mask >> c & 1u)) to[c] = q.v[c];
    }
  }
}

/// The end of every sum, as on the host: one division by the number of ranks (1: none), and one kind of NaN.
__device__ inline void finish_sum(float (&v)[4], float divisor) {
  bool const power = has_exact_inverse(divisor);  // a product is cheaper
  float const inverse = div(1.0f, divisor);
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) v[c] = canonical(power ? mul(v[c], inverse) : div(v[c], divisor));
}

}  // namespace detail
CCOMP_END
