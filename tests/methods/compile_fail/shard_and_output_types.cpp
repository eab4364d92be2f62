// expect: ccomp::allgather: shard and output differ in type
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/quantize/uniform.hpp>

void call(ccomp::self_communicator& comm, std::span<float> shard, std::span<ccomp::float16> full,
          ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allgather({}, comm, ccomp::uniform_quantize<8>{}, shard, full, ws);
}
