// expect: this compressor cannot be summed in flight, because a stage of its chain is not.*linear
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/sparsify/top_k.hpp>

void call(ccomp::self_communicator& comm, std::span<float> x, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::error_feedback feedback{ccomp::top_k{}, x.size()};
  ccomp::allreduce({}, comm, feedback, x, ws, {}, ccomp::in_flight{});
}
