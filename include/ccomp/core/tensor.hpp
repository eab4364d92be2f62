#pragma once
/// Tensors: calls take anything that converts to a std::span of float, float16 or bfloat16.

#include <ccomp/core/types.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

CCOMP_BEGIN
namespace detail {

/// A tensor whose element type is known at run time.
struct const_values {
  void const* data = nullptr;
  element_type type = element_type::float32;
  std::size_t n = 0;
};
struct values {
  void* data = nullptr;
  element_type type = element_type::float32;
  std::size_t n = 0;
  operator const_values() const { return {data, type, n}; }
};
template <class T> const_values view(std::span<T const> s) { return {s.data(), element_type_of<T>, s.size()}; }
template <class T> values view(std::span<T> s) { return {s.data(), element_type_of<T>, s.size()}; }

inline void const* advance(void const* p, element_type type, std::size_t n) {
  return static_cast<std::byte const*>(p) + n * element_bytes(type);
}
inline void* advance(void* p, element_type type, std::size_t n) {
  return static_cast<std::byte*>(p) + n * element_bytes(type);
}
inline const_values part(const_values v, std::size_t first, std::size_t n) {
  return {advance(v.data, v.type, first), v.type, n};
}
inline values part(values v, std::size_t first, std::size_t n) { return {advance(v.data, v.type, first), v.type, n}; }

/// A residual of either type; null: none.
struct residual_ref {
  void* data = nullptr;
  element_type type = element_type::float32;
  float decay = 1;
  explicit operator bool() const { return data != nullptr; }
};
inline residual_ref part(residual_ref r, std::size_t first) {
  return r ? residual_ref{advance(r.data, r.type, first), r.type, r.decay} : r;
}

/// A span, an array, a vector, or another contiguous range.
template <class R>
concept makes_span = requires(R& r) { std::span(r); };
template <makes_span R> using range_element = typename decltype(std::span(std::declval<R&>()))::element_type;

/// A tensor that is only read.
template <class R>
concept tensor_range = makes_span<R> && element<std::remove_cv_t<range_element<R>>>;
/// A tensor that is written.
template <class R>
concept writable_tensor_range = tensor_range<R> && !std::is_const_v<range_element<R>>;

/// As a span whose size is known when it runs: arrays bring theirs in the type.
template <makes_span R> auto tensor_span(R& r) {
  std::span const s(r);
  return std::span<typename decltype(s)::element_type>(s.data(), s.size());
}

// One sentence where the type does not fit, and a span that lets the rest compile without further ones.
template <class R> auto input_span(R const& r) {
  static_assert(tensor_range<R const>,
                "ccomp: a tensor is a contiguous range of float, float16 or bfloat16: a span, an array or a vector");
  if constexpr (tensor_range<R const>)
    return tensor_span(r);
  else
    return std::span<float const>();
}
template <class R> auto output_span(R& r) {
  static_assert(
      writable_tensor_range<R>,
      "ccomp: a tensor that is written is a contiguous range of float, float16 or bfloat16 that is not const: "
      "a span, an array or a vector");
  if constexpr (writable_tensor_range<R>)
    return tensor_span(r);
  else
    return std::span<float>();
}
template <class R>
concept residual_range = writable_tensor_range<R> && element_type_of<range_element<R>> != element_type::float16;
template <class R> auto residual_span(R& r) {
  static_assert(residual_range<R>, "ccomp::encode_feedback: the residual is float or bfloat16");
  if constexpr (residual_range<R>)
    return tensor_span(r);
  else
    return std::span<float>();
}

}  // namespace detail

/// One of several tensors of a single call. Random bits and residuals belong to the id: give a tensor the same id in
/// every step and on every rank.
struct tensor_view {
  template <class Tensor>
  tensor_view(Tensor&& tensor, std::uint64_t stable_id)
      : data(detail::view(detail::output_span(tensor))), id(stable_id) {}
  tensor_view(detail::values v, std::uint64_t stable_id) : data(v), id(stable_id) {}
  detail::values data;
  std::uint64_t id;
};

namespace detail {

/// All memory is the engine's: host memory, or device memory.
struct tensor_job {
  values data;
  std::uint64_t id = 0;
  residual_ref residual{};
  std::span<float> state{};
};

}  // namespace detail
CCOMP_END
