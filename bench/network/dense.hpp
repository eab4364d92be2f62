#pragma once

#include "result.hpp"
#include "tensor.hpp"
#include "timing.hpp"
#include "world.hpp"

#include <ccomp/comm/mpi.hpp>

namespace network {

// What compressors are measured against, each over the same tensor.

// MPI_Allreduce of float32, by the algorithm that mpirun was told.
dense_result time_mpi_float32(world const& all, tensor& data, repetition_limits const& limits);
// MPI_Allreduce of bfloat16: float32 in, float32 out, so both casts count.
dense_result time_mpi_bfloat16(world const& all, tensor& data, repetition_limits const& limits);
// The library's own sum of float32 over MPI.
dense_result time_own_float32(world const& all, tensor& data, repetition_limits const& limits,
                              ccomp::mpi_communicator& comm);
// What the link gives: every rank sends to the next one and receives from the one before. Mbit/s in each direction.
double link_mbit(world const& all, tensor& data);

}
