// expect: the second argument is not a communicator; it needs rank\(\) and size\(\)
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/uniform.hpp>

void call(std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  int comm = 0;
  ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, x, ws);
}
