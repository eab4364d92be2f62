#pragma once
/// Everything but the components that need another library: low_rank/power_sgd.hpp (Eigen). CUDA joins under nvcc.

#include <ccomp/any_compressor.hpp>
#include <ccomp/chain.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/reduce_scatter.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/passes.hpp>
#include <ccomp/version.hpp>
#if defined(__CUDACC__)
#include <ccomp/any_compressor.cuh>
#include <ccomp/codec.cuh>
#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/exec/cuda_elements.hpp>
#include <ccomp/load_kernels.cuh>
#include <ccomp/passes.cuh>
#include <ccomp/quantize/shared_scale.cuh>
#endif
