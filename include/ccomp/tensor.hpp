#pragma once
/// What calls take as a tensor: anything that makes a std::span of float, float16 or bfloat16.

#include <ccomp/types.hpp>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>

CCOMP_BEGIN
namespace detail {

/// A span, an array, a vector, or another contiguous range.
template <class R>
concept makes_span = requires(R& r) {
  std::span(r);
};
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
concept residual_range = writable_tensor_range<R> && element_type_of<range_element<R>>
!= element_type::float16;
template <class R> auto residual_span(R& r) {
  static_assert(residual_range<R>, "ccomp::encode_feedback: the residual is float or bfloat16");
  if constexpr (residual_range<R>)
    return tensor_span(r);
  else
    return std::span<float>();
}

}  // namespace detail
CCOMP_END
