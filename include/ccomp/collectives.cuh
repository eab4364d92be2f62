#pragma once
/// The collectives with a cuda_exec: allreduce, allgather, reduce_scatter and broadcast of tensors in device memory,
/// over a communicator for device memory such as nccl_communicator. The calls are those of the host.

#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/device_engine.cuh>
#include <ccomp/collective/reduce_scatter.hpp>
