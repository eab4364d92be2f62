// expect: gather needs a communicator with all_gather\(exec, span<byte const>, span<byte>\)
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/uniform.hpp>

struct lonely {
  int rank() const { return 0; }
  int size() const { return 1; }
};

void call(lonely& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, x, ws, {}, ccomp::gather{});
}
