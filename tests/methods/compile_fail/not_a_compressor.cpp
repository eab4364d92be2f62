// expect: the third argument of this collective is not a compressor; ccomp::check_stage<Stage>\(\).*names what a stage lacks
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>

void call(ccomp::self_communicator& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, 8, x, ws);
}
