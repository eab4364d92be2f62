// Compiled, never run: every kernel of one stage, STAGE, the sums of two_shot among them.
#include "all_passes.cuh"

using namespace ccomp;

void use(STAGE const& c, thread_communicator& comm, std::span<float> x, std::span<std::byte> payload) {
  all_passes(c, x, payload);
  cuda_exec const ex;
  workspace<cuda_exec> ws{ex};
  allreduce(ex, comm, c, x, ws, {}, two_shot{});
}
