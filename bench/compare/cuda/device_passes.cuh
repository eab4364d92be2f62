#pragma once
// For pass_*.cu alone: whoever sees this compiles the kernels.

#include <ccomp/passes.cuh>

#include "device_compressor.cuh"

template <ccomp::detail::device_pass Pass> void compare::device_stages::add_pass(ccomp::detail::device_program& p) {
  of_library::stages::add_pass<Pass>(p);
}
