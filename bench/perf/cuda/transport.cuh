#pragma once

#include "../options.hpp"
#include "../world.hpp"

#include <ccomp/exec/cuda.hpp>

#include <cstddef>
#include <string>

#if !defined(CCOMP_PERF_NCCL) && __has_include(<nccl.h>)
#define CCOMP_PERF_NCCL 1
#endif

namespace perf {

// Each measures on the first `gpus` devices and returns the number of wrong values. A file each, since nvcc takes a minute
// for one.
std::size_t measure_over_threads(options const& wanted, int gpus, std::string const& device);
std::size_t measure_over_nccl(options const& wanted, int gpus, std::string const& device);

// Runs each rank in a thread, on a device: f(rank's meeting place, thread_communicator).
template <class F> void on_devices(int ranks, int gpus, F const& f) {
  ccomp::thread_group group(ranks), beside(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::detail::check_cuda(cudaSetDevice(comm.rank() % gpus), "cudaSetDevice");
    ccomp::thread_communicator meeting(beside, comm.rank());
    thread_world all(meeting);
    f(all, comm);
  });
}

}
