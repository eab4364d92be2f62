// expect: there is no engine of collectives for this execution; include <ccomp/ccomp.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>

struct tape_exec {};

void call(ccomp::self_communicator& comm, std::span<float> x, ccomp::workspace<tape_exec>& ws) {
  ccomp::allreduce(tape_exec{}, comm, ccomp::uniform_quantize<8>{}, x, ws);
}
