#pragma once
/// A CUDA graph of what a call queues.

#include <ccomp/exec/cuda.hpp>

#include <doctest/doctest.h>

namespace support {

class recorded_graph {
 public:
  template <class Call> recorded_graph(ccomp::cuda_exec const& ex, Call const& call) : stream_(ex.stream()) {
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    call();
    REQUIRE(cudaStreamEndCapture(stream_, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&ready_, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  }
  recorded_graph(recorded_graph const&) = delete;
  recorded_graph& operator=(recorded_graph const&) = delete;
  ~recorded_graph() { CHECK(cudaGraphExecDestroy(ready_) == cudaSuccess); }
  void launch() const { REQUIRE(cudaGraphLaunch(ready_, stream_) == cudaSuccess); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t ready_ = nullptr;
};

/// The stream records while `call` runs, and nothing is queued.
template <class Call> void check_records_nothing(ccomp::cuda_exec const& ex, Call const& call) {
  REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  call();
  cudaGraph_t graph = nullptr;
  std::size_t nodes = 9;
  REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
  CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
  CHECK(nodes == 0);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
}

}  // namespace support
