// Capture and graphs under the simulated CUDA runtime.
#include "sim/cuda/cudart_sim.hpp"
#include "support/cuda/device_array.hpp"
#include "support/cuda/small_kernels.hpp"

#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <thread>

using namespace ccomp;
using support::add;
using support::device_array;
using support::multiply;
using support::ok;

namespace {

/// Streams and an event for one capture; `refused_after` says how the capture ends after a forbidden call.
struct capturing {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t e = nullptr, back = nullptr;
  device_array<int> x{1};

  explicit capturing(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    ok(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    ok(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    ok(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    ok(cudaEventCreateWithFlags(&back, cudaEventDisableTiming));
    ok(cudaDeviceSynchronize());
    ok(cudaStreamBeginCapture(a, mode));
  }
  ~capturing() {
    static_cast<void>(cudaEventDestroy(e));
    static_cast<void>(cudaEventDestroy(back));
    static_cast<void>(cudaStreamDestroy(a));
    static_cast<void>(cudaStreamDestroy(b));
    static_cast<void>(cudaGetLastError());
  }
  capturing(capturing const&) = delete;
  capturing& operator=(capturing const&) = delete;

  void add_on(cudaStream_t s, int v) const { detail::launch(cuda_exec(s), "add", add, 1, 1, x.data(), v); }
  void multiply_on(cudaStream_t s, int v) const {
    detail::launch(cuda_exec(s), "multiply", multiply, 1, 1, x.data(), v);
  }

  /// Ends with that error and no graph; the stream can be used again.
  void ends_with(cudaError_t expected) const {
    cudaGraph_t graph = nullptr;
    CHECK(std::string(cudaGetErrorName(cudaStreamEndCapture(a, &graph))) == cudaGetErrorName(expected));
    CHECK(graph == nullptr);
    static_cast<void>(cudaGetLastError());
    CHECK(!cuda_exec(a).capturing());
    add_on(a, 1);
    ok(cudaStreamSynchronize(a));
    CHECK(*x.data() == 1);
  }
  /// Ends well, replays that often.
  void replay(int times) const {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    ok(cudaStreamEndCapture(a, &graph));
    ok(cudaGraphInstantiate(&exec, graph, 0));
    ok(cudaGraphDestroy(graph));
    for (int i = 0; i < times; ++i) ok(cudaGraphLaunch(exec, a));
    ok(cudaGraphExecDestroy(exec));  // while it is still queued
    ok(cudaStreamSynchronize(a));
  }
};

}  // namespace

TEST_CASE("capture: work is recorded, not run, and runs with every launch of the graph") {
  capturing const c;
  CHECK(cuda_exec(c.a).capturing());
  CHECK(!cuda_exec(c.b).capturing());
  auto const launches = cudart_sim::count().launches;
  c.add_on(c.a, 1);
  c.multiply_on(c.a, 3);
  CHECK(cudart_sim::count().launches == launches + 2);
  CHECK(cudart_sim::pending() == 0);
  CHECK(*c.x.data() == 0);
  c.replay(3);
  CHECK(*c.x.data() == ((1 * 3 + 1) * 3 + 1) * 3);
  CHECK(cudart_sim::count().launches == launches + 2);
}

TEST_CASE("capture: a second stream joins by an event and comes back by another") {
  capturing const c;
  c.add_on(c.a, 2);
  ok(cudaEventRecord(c.e, c.a));
  ok(cudaStreamWaitEvent(c.b, c.e, 0));
  CHECK(cuda_exec(c.b).capturing());
  c.multiply_on(c.b, 5);
  ok(cudaEventRecord(c.back, c.b));
  ok(cudaStreamWaitEvent(c.a, c.back, 0));
  c.add_on(c.a, 1);
  c.replay(1);
  CHECK(*c.x.data() == 11);
  CHECK(!cuda_exec(c.b).capturing());
}

TEST_CASE("capture: a stream that joined must come back, with all its work") {
  for (bool const recorded_too_early : {false, true}) {
    capturing const c;
    ok(cudaEventRecord(c.e, c.a));
    ok(cudaStreamWaitEvent(c.b, c.e, 0));
    if (recorded_too_early) {
      ok(cudaEventRecord(c.back, c.b));
      ok(cudaStreamWaitEvent(c.a, c.back, 0));
      c.add_on(c.b, 1);
    }
    c.ends_with(cudaErrorStreamCaptureUnjoined);
  }
}

TEST_CASE("capture: calls that it forbids fail and spoil it") {
  void* p = nullptr;
  using call = std::function<cudaError_t(capturing const&)>;
  call const waits[] = {
      [](auto const& c) { return cudaStreamSynchronize(c.a); }, [](auto const& c) { return cudaStreamQuery(c.a); },
      [](auto const&) { return cudaDeviceSynchronize(); },      [&](auto const&) { return cudaMalloc(&p, 8); },
      [&](auto const&) { return cudaMallocHost(&p, 8); },       [](auto const& c) { return cudaFree(c.x.data()); },
  };
  for (auto const& forbidden : waits) {
    capturing const c;
    c.add_on(c.a, 5);
    CHECK(forbidden(c) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnsupported);
    CHECK_THROWS_AS(c.add_on(c.a, 5), cuda_error);
    c.ends_with(cudaErrorStreamCaptureInvalidated);
  }
}

TEST_CASE("capture: waiting for what lies outside, or for what was captured, fails") {
  {
    capturing const c;
    ok(cudaEventRecord(c.e, c.b));
    CHECK(cudaStreamWaitEvent(c.a, c.e, 0) == cudaErrorStreamCaptureIsolation);
    c.ends_with(cudaErrorStreamCaptureInvalidated);
  }
  capturing const c;
  ok(cudaEventRecord(c.e, c.a));
  CHECK(cudaEventSynchronize(c.e) == cudaErrorCapturedEvent);
  CHECK(cudaEventQuery(c.e) == cudaErrorCapturedEvent);
  static_cast<void>(cudaGetLastError());  // or the launch would be blamed
  c.add_on(c.a, 4);
  c.replay(1);
  CHECK(*c.x.data() == 4);
}

TEST_CASE("capture: modes say whose calls are forbidden") {
  auto const from_elsewhere = [] {
    void* p = nullptr;
    cudaError_t got = cudaSuccess;
    std::thread([&] {
      got = cudaMalloc(&p, 8);
      if (p) static_cast<void>(cudaFree(p));
    }).join();
    return got;
  };
  {
    capturing const c(cudaStreamCaptureModeGlobal);
    CHECK(from_elsewhere() == cudaErrorStreamCaptureUnsupported);
    c.ends_with(cudaErrorStreamCaptureInvalidated);
  }
  {
    capturing const c(cudaStreamCaptureModeThreadLocal);
    CHECK(from_elsewhere() == cudaSuccess);
    c.replay(1);
  }
  capturing const c(cudaStreamCaptureModeGlobal);
  auto mode = cudaStreamCaptureModeRelaxed;
  ok(cudaThreadExchangeStreamCaptureMode(&mode));
  void* p = nullptr;
  ok(cudaMalloc(&p, 8));
  ok(cudaFree(p));
  ok(cudaThreadExchangeStreamCaptureMode(&mode));
  CHECK(mode == cudaStreamCaptureModeRelaxed);
  c.replay(1);
}

TEST_CASE("capture: the legacy stream can neither be captured nor used beside a blocking stream's capture") {
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) == cudaErrorStreamCaptureUnsupported);
  static_cast<void>(cudaGetLastError());
  device_array<int> const x(1);
  cudaStream_t blocking = nullptr;
  ok(cudaStreamCreate(&blocking));
  ok(cudaDeviceSynchronize());
  ok(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal));
  CHECK_THROWS_AS(detail::launch(cuda_exec(), "add", add, 1, 1, x.data(), 1), cuda_error);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(blocking, &graph) == cudaErrorStreamCaptureInvalidated);
  ok(cudaStreamDestroy(blocking));
  static_cast<void>(cudaGetLastError());
}

TEST_CASE("capture: memory that the graph allocates is new in every replay, and goes with the graph") {
  auto const live = cudart_sim::live_allocations();
  {
    capturing const c;
    cuda_exec const ex(c.a);
    void* got = nullptr;
    ok(cudaMallocAsync(&got, sizeof(int), c.a));
    auto* const p = static_cast<int*>(got);
    detail::launch(ex, "add", add, 1, 1, p, 2);  // to -1
    ok(cudaMemcpyAsync(c.x.data(), p, sizeof(int), cudaMemcpyDeviceToDevice, c.a));
    ok(cudaFreeAsync(p, c.a));
    c.replay(2);
    CHECK(*c.x.data() == 1);
  }
  CHECK(cudart_sim::live_allocations() == live);
}

TEST_CASE("capture: ends with its stream") {
  {
    capturing const c;
    c.add_on(c.a, 1);
  }
  CHECK_NOTHROW(device_array<int>(1));  // nothing is forbidden any more
}

TEST_CASE("capture: its id, and ends that do not fit their beginning") {
  capturing const c;
  auto status = cudaStreamCaptureStatusNone;
  unsigned long long id = 0;
  ok(cudaStreamGetCaptureInfo(c.a, &status, &id));
  CHECK(status == cudaStreamCaptureStatusActive);
  CHECK(id > 0);
  ok(cudaEventRecord(c.e, c.a));
  ok(cudaStreamWaitEvent(c.b, c.e, 0));
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(c.b, &graph) == cudaErrorStreamCaptureUnmatched);
  cudaError_t elsewhere = cudaSuccess;
  std::thread([&] { elsewhere = cudaStreamEndCapture(c.a, &graph); }).join();
  CHECK(elsewhere == cudaErrorStreamCaptureWrongThread);
  CHECK(cudaStreamBeginCapture(c.a, cudaStreamCaptureModeGlobal) == cudaErrorIllegalState);
  static_cast<void>(cudaGetLastError());
  c.ends_with(cudaErrorStreamCaptureUnjoined);
}
