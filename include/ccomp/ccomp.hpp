#pragma once
/// Everything but low_rank/, whose headers a program includes one by one (two of them need Eigen), and the components that
/// need another library. CUDA joins under nvcc.

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/core/chain.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/version.hpp>
#if CCOMP_DEVICE_CODE
#include <ccomp/any_compressor.cuh>
#include <ccomp/codec.cuh>
#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/exec/cuda_elements.hpp>
#include <ccomp/load_kernels.cuh>
#endif
