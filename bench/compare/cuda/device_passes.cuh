#pragma once
// For pass_*.cu alone: whoever sees this compiles the kernels.

#include <array>
#include <ccomp/passes.cuh>
#include <cstddef>
#include <utility>

#include "device_compressor.cuh"

namespace compare {

// The stages of one part.
template <ccomp::detail::device_pass Pass, int Part, std::size_t I, class S>
ccomp::detail::device_ops const* ops_if_of_part(ccomp::detail::stage_ops const* stage) {
  if constexpr (I % device_stages::parts == Part) {
    if (stage == &ccomp::detail::ops_of<S>) return &ccomp::detail::device_ops_of<Pass, true, S>;
  }
  return nullptr;
}
template <ccomp::detail::device_pass Pass, int Part, class... S, std::size_t... I>
ccomp::detail::device_ops const* ops_of_part(ccomp::detail::device_stage_list<S...>, std::index_sequence<I...>,
                                             ccomp::detail::stage_ops const* stage) {
  ccomp::detail::device_ops const* found = nullptr;
  static_cast<void>(((found = ops_if_of_part<Pass, Part, I, S>(stage)) || ...));
  return found;
}
template <class... S> auto indices_of(ccomp::detail::device_stage_list<S...>) {
  return std::index_sequence_for<S...>{};
}

}

template <ccomp::detail::device_pass Pass, int Part>
ccomp::detail::device_ops const* compare::device_stages::ops_of(ccomp::detail::stage_ops const* stage) {
  return ops_of_part<Pass, Part>(of_library::stages{}, indices_of(of_library::stages{}), stage);
}
template <ccomp::detail::device_pass Pass> void compare::device_stages::add_raw(ccomp::detail::device_program& p) {
  p.raw[static_cast<std::size_t>(Pass)] = &ccomp::detail::run_raw<Pass, true>;
}
