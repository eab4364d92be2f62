// Capture and graphs: while a stream is captured, its work is recorded instead of queued.
#include "cudart_state.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace cudart_sim {

// Never with the lock held.
graph_body::~graph_body() {
  if (memory.empty()) return;
  runtime& r = runtime::get();
  hold const held(r.lock);
  for (void* p : memory) {
    r.memory.erase(reinterpret_cast<std::uintptr_t>(p));
    std::free(p);
  }
}

cudaError_t runtime::end(capture& c) {
  bool unjoined = false;
  for (auto const& s : c.streams) {
    unjoined = unjoined || (s.get() != c.origin && s->joined < s->recorded);
    s->recording.reset();
    s->recorded = s->joined = 0;
  }
  std::erase_if(captures, [&](auto const& other) { return other.get() == &c; });
  if (c.invalid) return cudaErrorStreamCaptureInvalidated;
  return unjoined ? cudaErrorStreamCaptureUnjoined : cudaSuccess;
}

}  // namespace cudart_sim

using namespace cudart_sim;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaStreamBeginCapture");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (s->legacy) return cudaErrorStreamCaptureUnsupported;
    if (s->recording) return cudaErrorIllegalState;
    auto c = std::make_shared<capture>();
    c->id = ++r.last_capture;
    c->mode = mode;
    c->thread = std::this_thread::get_id();
    c->origin = s;
    c->streams.push_back(s->shared_from_this());
    s->recording = c;
    s->recorded = s->joined = 0;
    r.captures.push_back(std::move(c));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  std::shared_ptr<graph_body> kept;  // so that a failed capture's memory is freed after the lock
  return api("cudaStreamEndCapture", [&](runtime& r, hold&) {
    *graph = nullptr;
    CUstream_st* const s = r.stream(handle, "cudaStreamEndCapture");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (!s->recording) return cudaErrorIllegalState;
    auto const c = s->recording;
    kept = c->body;
    if (c->origin != s) return cudaErrorStreamCaptureUnmatched;
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
      return cudaErrorStreamCaptureWrongThread;
    if (auto const error = r.end(*c); error != cudaSuccess) return error;
    *graph = new CUgraph_st{c->body};
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return api("cudaStreamIsCapturing", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaStreamIsCapturing");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (s->legacy)
      for (auto const& other : r.streams)
        if (other->blocking && other->device == s->device && other->recording) return cudaErrorStreamCaptureImplicit;
    *status = !s->recording           ? cudaStreamCaptureStatusNone
              : s->recording->invalid ? cudaStreamCaptureStatusInvalidated
                                      : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

#if CUDART_VERSION >= 13000
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, cudaGraphNode_t const** nodes, cudaGraphEdgeData const** edges,
                                     size_t* count) {
  if (edges) *edges = nullptr;
#else
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, cudaGraphNode_t const** nodes, size_t* count) {
#endif
  // Of the graph itself nothing is known here: no nodes, no edges.
  if (graph) *graph = nullptr;
  if (nodes) *nodes = nullptr;
  if (count) *count = 0;
  if (auto const error = cudaStreamIsCapturing(handle, status); error != cudaSuccess) return error;
  return api("cudaStreamGetCaptureInfo", [&](runtime& r, hold&) {
    CUstream_st const* const s = r.stream(handle, "cudaStreamGetCaptureInfo");
    if (id) *id = s->recording ? s->recording->id : 0;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return api("cudaGraphInstantiate", [&](runtime&, hold&) {
    if (!exec || !graph) return cudaErrorInvalidValue;
    *exec = new CUgraphExec_st{graph->body};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  return api("cudaGraphLaunch", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaGraphLaunch");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (!exec) return cudaErrorInvalidValue;
    auto const queued = r.enqueue(*s, [body = exec->body] {
      for (auto const& step : body->steps)
        if (step) step();
    });
    if (queued != cudaSuccess || s->recording || exec->body->noted.empty()) return queued;
    auto const end = s->queue.back().sets = std::make_shared<mark>();
    for (auto* const e : exec->body->noted) {
      if (!r.knows(e)) continue;
      e->last = end;
      e->stream = s->shared_from_this();
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (!exec) return last_error = cudaErrorInvalidValue;
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!graph) return last_error = cudaErrorInvalidValue;
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  if (!graph || !count || nodes) return last_error = cudaErrorInvalidValue;  // only how many there are
  *count = graph->body->steps.size();
  return cudaSuccess;
}

}  // extern "C"
