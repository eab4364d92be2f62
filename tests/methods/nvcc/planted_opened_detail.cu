// Compiled to see that it is refused: what only headers mind that nvcc puts behind a source.
#include <ccomp/codec.cuh>

using namespace ccomp::detail;

__global__ void kernel(float* out) { *out = mul(*out, 2.0f); }
