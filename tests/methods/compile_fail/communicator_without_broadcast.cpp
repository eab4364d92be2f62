// expect: the communicator has no broadcast\(exec, span<byte>, root\)
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/uniform.hpp>

struct lonely {
  int rank() const { return 0; }
  int size() const { return 1; }
};

void call(lonely& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::broadcast({}, comm, ccomp::uniform_quantize<8>{}, x, 0, ws);
}
