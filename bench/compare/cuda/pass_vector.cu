// The kernels of sparsifiers, which all passes share.
#include "device_passes.cuh"

void compare::device_stages::add_vector(ccomp::detail::device_program& p) {
  p.vector = &ccomp::detail::device_vector_runs_of<ccomp::device_queue>;
}
