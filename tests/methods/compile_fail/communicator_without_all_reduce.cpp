// expect: in_flight needs a communicator with all_reduce\(exec, void\*, n, wire_type, wire_op\)
#include <ccomp/collectives.hpp>
#include <ccomp/quantize/cast.hpp>

struct gathers {
  int rank() const { return 0; }
  int size() const { return 1; }
  void all_gather(ccomp::host_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
};

void call(gathers& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws, {}, ccomp::in_flight{});
}
