#pragma once
/// The header that authors of stages with kernels include.

#include <ccomp/engine/cuda/vector_run.cuh>
