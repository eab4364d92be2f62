// expect: ccomp: a tensor that is written is a contiguous range of float, float16 or bfloat16 that is not const
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <vector>

void call(ccomp::self_communicator& comm, std::vector<double>& x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, x, ws);
}
