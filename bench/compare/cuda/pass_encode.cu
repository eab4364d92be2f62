#include "device_passes.cuh"

template void compare::device_stages::add_pass<ccomp::detail::device_pass::encode>(ccomp::detail::device_program&);
