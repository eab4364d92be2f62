#pragma once
/// The collectives with a cuda_exec, of tensors in device memory, over a communicator for device memory such as
/// nccl_communicator. The calls are those of the host.

#include <ccomp/collective/all_to_all.hpp>
#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allgatherv.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/device_engine.cuh>
#include <ccomp/collective/gather_to.hpp>
#include <ccomp/collective/reduce_scatter.hpp>
#include <ccomp/collective/reduce_to.hpp>
#include <ccomp/collective/scatter_from.hpp>
#include <ccomp/collective/send_receive.hpp>
