#pragma once
/// The four passes of any program on a GPU. A program without a vector stage is one kernel.

#include <ccomp/engine/cuda/vector_passes.cuh>
#include <ccomp/exec/cuda_workspace.hpp>

CCOMP_BEGIN
namespace detail {

/// Kernels of the program's vector stage; null for a block chain.
inline device_vector_runs const* vector_runs(device_program const& p) {
  segment const s = first_segment(p.stages);
  if (!s.vector()) return nullptr;
  expects(p.vector, [&] { return "CUDA: " + s.end.ops->text(s.end.stage) + " runs on the host only"; });
  return p.vector;
}
/// Scratch that the pass takes; sizes of the call are set, pointers need not be. Refuses what cannot run, and makes what
/// libraries need, so that nothing is left to go wrong once something is queued.
inline std::size_t device_scratch_bytes(device_pass pass, device_program const& p, block_call const& k,
                                        workspace<cuda_exec>& ws) {
  auto const* const vector = vector_runs(p);
  return vector ? vector->scratch_bytes(pass, p, k, ws) : 0;
}
inline void run_pass(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& k,
                     scratch memory, workspace<cuda_exec>& ws) {
  if (auto const* const vector = vector_runs(p)) return vector->run(pass, ex, p, k, memory, ws);
  run_blocks(pass, ex, p, k);
}

/// A call over n values with nothing but its place in the run.
inline block_call device_call(std::uint64_t n, element_type type, pass_options const& at) {
  block_call k;
  k.n = n;
  k.type = type;
  k.random = {at.at, at.tensor, at.rank};
  return k;
}
/// One pass of a compressor, with scratch from the workspace.
template <device_pass Pass, class C>
void run_on_device(cuda_exec const& ex, C const& c, block_call const& k, workspace<cuda_exec>& ws,
                   char const* call = "workspace") {
  auto const stages = stages_of(c);
  auto const p = device_program_of<Pass>(c, stages);
  run_pass(Pass, ex, p, k, scratch(ws.reserve(device_scratch_bytes(Pass, p, k, ws), call)), ws);
}

}  // namespace detail
CCOMP_END
