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

}  // namespace support
