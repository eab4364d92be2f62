// A training step's compression as a CUDA graph. The step number lies in device memory, so that every replay draws fresh
// random bits; the result is that of the same call outside a graph.
#include "gpu.hpp"

#include <ccomp/codec.cuh>
#include <ccomp/quantize/natural.hpp>

int main() {
  gpu::count();
  std::size_t const n = 50'000;
  ccomp::natural const compressor;  // rounds at random
  std::size_t const bytes = ccomp::payload_bytes(compressor, n);

  gpu::stream const stream;
  gpu::memory<float> const gradient(gpu::gradient_of(0, n)), residual{std::vector<float>(n)}, decoded(n), expected(n);
  gpu::memory<float> const fresh_residual{std::vector<float>(n)};
  gpu::memory<std::byte> const payload(bytes);
  gpu::memory<std::uint64_t> const step_number(1);

  ccomp::cuda_exec const ex(stream.get());
  ccomp::workspace ws{ex};
  // [calls]
  auto const at_step = [&](ccomp::step at, gpu::memory<float> const& rest, gpu::memory<float> const& out) {
    ccomp::encode_feedback(ex, compressor, gradient.span(), rest.span(), payload.span(), ws, {.at = at});
    ccomp::decode(ex, compressor, payload.span(), out.span(), ws, {.at = at});
  };
  // [/calls]

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  // [graph]
  gpu::ok(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  at_step(ccomp::step::from_device(step_number.data()), residual, decoded);
  gpu::ok(cudaStreamEndCapture(stream.get(), &graph));
  gpu::ok(cudaGraphInstantiate(&ready, graph, 0));
  // [/graph]

  bool good = true;
  std::vector<float> last;
  for (std::uint64_t step = 1; step <= 3; ++step) {
    gpu::ok(cudaMemcpyAsync(step_number.data(), &step, sizeof step, cudaMemcpyHostToDevice, stream.get()));
    gpu::ok(cudaGraphLaunch(ready, stream.get()));
    at_step(step, fresh_residual, expected);  // the same without a graph
    ex.synchronize();
    auto const result = decoded.to_host();
    good = good && result == expected.to_host() && result != last;
    last = result;
  }
  gpu::ok(cudaGraphExecDestroy(ready));
  gpu::ok(cudaGraphDestroy(graph));
  std::printf("%s: three replays of a graph, each %s\n", good ? "ok" : "WRONG",
              good ? "with fresh bits and the result of the plain call" : "should equal the plain call");
  return good ? 0 : 1;
}
