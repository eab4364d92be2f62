#pragma once

#include "contestant.hpp"
#include "result.hpp"
#include "tensor.hpp"
#include "timing.hpp"
#include "world.hpp"

#include <ccomp/comm/mpi.hpp>

namespace network {

// The mean over the ranks by `automatic`. Throws ccomp::invalid_argument, on every rank, for a compressor that cannot be
// used.
compressed_result time_compressed(world const& all, tensor& data, repetition_limits const& limits,
                                  ccomp::mpi_communicator& comm, contestant const& one);

}
