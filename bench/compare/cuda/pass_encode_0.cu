#include "device_passes.cuh"

template detail::device_ops const* compare::device_stages::ops_of<detail::device_pass::encode, 0>(
    detail::stage_facts const*);
template void compare::device_stages::add_raw<detail::device_pass::encode>(detail::device_program&);
