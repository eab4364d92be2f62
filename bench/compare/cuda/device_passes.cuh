#pragma once
// For pass_*.cu alone: whoever sees this compiles the kernels.

#include "device_compressor.cuh"

#include <ccomp/codec.cuh>

#include <array>
#include <cstddef>
#include <utility>

namespace detail = ccomp::detail;  // opened as a whole it would meet nvcc's headers: both have an sqrt

namespace compare {

// The stages of one part.
template <detail::device_pass Pass, int Part, std::size_t I, class S>
detail::device_ops const* ops_if_of_part(detail::stage_facts const* stage) {
  if constexpr (I % device_stages::parts == Part) {
    if (stage == &detail::facts_of<S>()) return &detail::device_ops_of<Pass, device_stages::has_transform, S>;
  }
  return nullptr;
}
template <detail::device_pass Pass, int Part, class... S, std::size_t... I>
detail::device_ops const* ops_of_part(detail::device_stage_list<S...>, std::index_sequence<I...>,
                                      detail::stage_facts const* stage) {
  detail::device_ops const* found = nullptr;
  static_cast<void>(((found = ops_if_of_part<Pass, Part, I, S>(stage)) || ...));
  return found;
}
template <class... S> auto indices_of(detail::device_stage_list<S...>) { return std::index_sequence_for<S...>{}; }

}

template <detail::device_pass Pass, int Part>
detail::device_ops const* compare::device_stages::ops_of(detail::stage_facts const* stage) {
  return ops_of_part<Pass, Part>(of_library::stages{}, indices_of(of_library::stages{}), stage);
}
template <detail::device_pass Pass> void compare::device_stages::add_raw(detail::device_program& p) {
  p.raw[static_cast<std::size_t>(Pass)] = &detail::run_raw<Pass, has_transform>;
}
