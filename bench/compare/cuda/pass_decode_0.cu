#include "device_passes.cuh"

using namespace ccomp::detail;
template device_ops const* compare::device_stages::ops_of<device_pass::decode, 0>(stage_ops const*);
template void compare::device_stages::add_raw<device_pass::decode>(device_program&);
