// expect: the last argument is not a strategy; use automatic, gather, two_shot, ring, in_flight, or a
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>

void call(ccomp::self_communicator& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, x, ws, {}, 2);
}
