// expect: this compressor cannot be summed in flight, because a stage of its chain is not.*linear
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

void call(ccomp::self_communicator& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::hadamard_rotate{} | ccomp::uniform_quantize<8>{}, x, ws, {}, ccomp::in_flight{});
}
