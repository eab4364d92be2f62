// expect: ccomp: the error_feedback is const or a temporary, so that its residual would be lost
#include <ccomp/collectives.hpp>
#include <ccomp/comm/self.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/sparsify/top_k.hpp>

void call(ccomp::self_communicator& comm, ccomp::error_feedback<ccomp::top_k> const& feedback, std::span<float> x,
          ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::allreduce({}, comm, feedback, x, ws);
}
