// expect: two_shot needs a communicator with all_to_all\(exec, span<byte const>, span<byte>\)
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/uniform.hpp>

struct gathers {
  int rank() const { return 0; }
  int size() const { return 1; }
  void all_gather(ccomp::host_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
};

void call(gathers& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, x, ws, {}, ccomp::two_shot{});
}
