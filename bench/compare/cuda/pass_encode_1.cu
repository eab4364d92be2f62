#include "device_passes.cuh"

using namespace ccomp::detail;
template device_ops const* compare::device_stages::ops_of<device_pass::encode, 1>(stage_ops const*);
