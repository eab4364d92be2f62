#include "transport.cuh"

#if CCOMP_PERF_NCCL
#include "../report.hpp"
#include "nccl_rank.cuh"

#include <ccomp/comm/nccl.hpp>

#include <numeric>
#include <vector>

namespace perf {

std::size_t measure_over_nccl(options const& wanted, int gpus, std::string const& device) {
  std::vector<int> devices(static_cast<std::size_t>(gpus));
  std::iota(devices.begin(), devices.end(), 0);
  auto comms = ccomp::nccl_communicator::init_all(devices);
  std::size_t wrong = 0;
  on_devices(gpus, gpus, [&](thread_world& all, ccomp::thread_communicator& comm) {
    auto& own = comms[static_cast<std::size_t>(comm.rank())];
    nccl_rank self(all, own);
    auto const found =
        measure_and_report(self, wanted, {"NCCL", nccl_library(), std::to_string(gpus) + " x " + device, gpus, 0});
    own.finalize();
    if (all.speaks()) wrong = found;
  });
  return wrong;
}

}
#endif
