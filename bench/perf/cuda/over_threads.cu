#include "../report.hpp"
#include "device_rank.cuh"
#include "transport.cuh"

#include <ccomp/comm/thread.cuh>

#include <algorithm>

namespace perf {

std::size_t measure_over_threads(options const& wanted, int gpus, std::string const& device) {
  int const ranks = wanted.threads > 0 ? wanted.threads : 4;
  std::size_t wrong = 0;
  on_devices(ranks, gpus, [&](thread_world& all, ccomp::thread_communicator& comm) {
    device_rank<ccomp::thread_communicator> self(all, comm);
    auto const found = measure_and_report(
        self, wanted, {"threads", "", std::to_string(std::min(ranks, gpus)) + " x " + device, ranks, 0});
    if (all.speaks()) wrong = found;
  });
  return wrong;
}

}
