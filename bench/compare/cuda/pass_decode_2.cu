#include "device_passes.cuh"

template detail::device_ops const* compare::device_stages::ops_of<detail::device_pass::decode, 2>(
    detail::stage_facts const*);
