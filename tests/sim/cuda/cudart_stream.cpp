// Streams, events, launches.
#include "cuda_sim.hpp"
#include "cudart_state.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

using namespace cudart_sim;

namespace {

void create(runtime& r, cudaStream_t* out, unsigned flags, int priority) {
  auto s = std::make_shared<CUstream_st>();
  s->device = current_device;
  s->flags = flags;
  s->blocking = (flags & cudaStreamNonBlocking) == 0;
  s->priority = priority;
  s->number = ++r.last_stream;
  *out = s.get();
  r.streams.push_back(std::move(s));
}

/// Runs body(stream) if there is such a stream.
template <class Body> cudaError_t on_stream(char const* name, cudaStream_t handle, Body body) {
  return api(name, [&](runtime& r, hold& held) {
    CUstream_st* const s = r.stream(handle, name);
    return s ? body(r, held, *s) : cudaErrorInvalidResourceHandle;
  });
}

bool fits(dim3 grid, dim3 block) {
  auto const threads = std::uint64_t{block.x} * block.y * block.z;
  return threads > 0 && threads <= 1024 && block.z <= 64 && grid.x > 0 && grid.y > 0 && grid.z > 0 &&
         grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535;
}

/// The stream takes part in the capture that recorded the event.
cudaError_t join(CUstream_st& s, CUevent_st& e) {
  auto const from = e.recording.lock();
  if (!from) return cudaErrorCapturedEvent;  // that capture has ended
  if (s.legacy) return cudaErrorStreamCaptureImplicit;
  if (s.recording && s.recording != from) {
    from->invalid = s.recording->invalid = true;
    return cudaErrorStreamCaptureMerge;
  }
  if (from->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!s.recording) {
    s.recording = from;
    s.recorded = 1;  // it has to be joined even if nothing follows
    s.joined = 0;
    from->streams.push_back(s.shared_from_this());
  }
  if (e.stream.get() != &s) e.stream->joined = std::max(e.stream->joined, e.position);
  return cudaSuccess;
}

}  // namespace

cudaError_t cuda_sim::enqueue(cudaStream_t handle, launch_shape const& shape, bound_kernel const& kernel) {
  return on_stream("cudaLaunchKernel", handle, [&](runtime& r, hold&, CUstream_st& s) {
    if (s.device != current_device) return cudaErrorInvalidResourceHandle;
    if (!fits(shape.grid, shape.block)) return cudaErrorInvalidConfiguration;
    ++r.counts.launches;
    r.counts.late_loads += r.loaded.emplace(current_device, shape.function).second;
    r.kernels.emplace_back(shape.name);
    auto const* const first = static_cast<std::byte const*>(kernel.bound);
    return r.enqueue(s, [name = std::string(shape.name), shape, call = kernel.call,
                         bound = std::vector<std::byte>(first, first + kernel.bytes)] {
      run({name.c_str(), shape.grid, shape.block, shape.function}, [&] { call(bound.data()); });
    });
  });
}

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithPriority(out, cudaStreamDefault, 0); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
  return api("cudaStreamCreate", [&](runtime& r, hold&) {
    if (!out || (flags & ~unsigned{cudaStreamNonBlocking}) != 0) return cudaErrorInvalidValue;
    create(r, out, flags, priority);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  std::shared_ptr<graph_body> dropped;  // its memory is freed after the lock
  return on_stream("cudaStreamDestroy", handle, [&](runtime& r, hold&, CUstream_st& s) {
    if (s.legacy) return cudaErrorInvalidResourceHandle;
    if (auto const c = s.recording) {
      c->invalid = true;
      dropped = c->body;
      if (c->origin == &s) r.end(*c);
    }
    auto const kept = s.shared_from_this();
    r.streams.remove(kept);
    r.gone.push_back(kept);
    if (!s.queue.empty() || s.busy) r.orphans.push_back(kept);  // its work still runs, when something waits for it
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream("cudaStreamSynchronize", handle, [](runtime& r, hold& held, CUstream_st& s) {
    if (auto const error = r.forbidden_for(s); error != cudaSuccess) return error;
    return r.wait(held, s, "cudaStreamSynchronize");
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return on_stream("cudaStreamQuery", handle, [](runtime& r, hold& held, CUstream_st& s) {
    if (auto const error = r.forbidden_for(s); error != cudaSuccess) return error;
    auto const kept = s.shared_from_this();
    if (kept->queue.empty() && !kept->busy) return cudaSuccess;
    r.step(held, kept);  // or a loop that polls would never end
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return on_stream("cudaStreamGetDevice", handle, [&](runtime&, hold&, CUstream_st& s) {
    *device = s.device;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return on_stream("cudaStreamGetFlags", handle, [&](runtime&, hold&, CUstream_st& s) {
    *flags = s.flags;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* number) {
  return on_stream("cudaStreamGetId", handle, [&](runtime&, hold&, CUstream_st& s) {
    *number = s.number;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return on_stream("cudaStreamGetPriority", handle, [&](runtime&, hold&, CUstream_st& s) {
    *priority = s.priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t e, unsigned) {
  return on_stream("cudaStreamWaitEvent", handle, [&](runtime& r, hold&, CUstream_st& s) {
    if (!r.knows(e)) return cudaErrorInvalidResourceHandle;
    if (e->captured) return join(s, *e);
    if (s.recording) {
      s.recording->invalid = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (e->last && !e->last->done) r.push(s, {nullptr, nullptr, e->last, e->stream});
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return on_stream("cudaLaunchHostFunc", handle, [&](runtime& r, hold&, CUstream_st& s) {
    return r.enqueue(s, [function, data] { function(data); });
  });
}

cudaError_t cudaDeviceSynchronize() {
  return api("cudaDeviceSynchronize", [](runtime& r, hold& held) {
    for (auto const& c : r.captures)
      if (c->origin->device == current_device) {
        c->invalid = true;
        return cudaErrorStreamCaptureUnsupported;
      }
    return r.drain_device(held, current_device, "cudaDeviceSynchronize");
  });
}

// ---- events
cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags) {
  return api("cudaEventCreate", [&](runtime& r, hold&) {
    *out = new CUevent_st;
    (*out)->device = current_device;
    (*out)->flags = flags;
    r.events.push_back(*out);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t e) {
  return api("cudaEventDestroy", [&](runtime& r, hold&) {
    if (!r.knows(e)) return cudaErrorInvalidResourceHandle;
    r.events.erase(std::find(r.events.begin(), r.events.end(), e));
    delete e;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t handle) {
  return on_stream("cudaEventRecord", handle, [&](runtime& r, hold&, CUstream_st& s) {
    if (!r.knows(e) || e->device != s.device) return cudaErrorInvalidResourceHandle;
    e->stream = s.shared_from_this();
    e->captured = s.recording != nullptr;
    e->recording = s.recording;
    e->position = s.recorded;
    if (s.recording) return s.recording->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    if (auto const error = r.enqueue(s, nullptr); error != cudaSuccess) return error;
    e->last = s.queue.back().sets = std::make_shared<mark>();
    return cudaSuccess;
  });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t handle, unsigned flags) {
  if (flags == cudaEventRecordDefault) return cudaEventRecord(e, handle);
  return on_stream("cudaEventRecordWithFlags", handle, [&](runtime& r, hold&, CUstream_st& s) {
    if (!r.knows(e) || e->device != s.device) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventRecordExternal || !s.recording) return cudaErrorInvalidValue;
    if (auto const error = r.enqueue(s, nullptr); error != cudaSuccess) return error;
    s.recording->body->noted.push_back(e);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t e) {
  return api("cudaEventQuery", [&](runtime& r, hold& held) {
    if (!r.knows(e)) return cudaErrorInvalidResourceHandle;
    if (e->captured) return cudaErrorCapturedEvent;
    if (!e->last || e->last->done) return cudaSuccess;
    r.step(held, e->stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  return api("cudaEventSynchronize", [&](runtime& r, hold& held) {
    if (!r.knows(e)) return cudaErrorInvalidResourceHandle;
    if (e->captured) return cudaErrorCapturedEvent;
    if (!e->last) return cudaSuccess;
    return r.wait(held, *e->stream, "cudaEventSynchronize", e->last);
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api("cudaEventElapsedTime", [&](runtime& r, hold&) {
    if (!r.knows(start) || !r.knows(end) || !start->last || !end->last) return cudaErrorInvalidResourceHandle;
    if (((start->flags | end->flags) & cudaEventDisableTiming) != 0) return cudaErrorInvalidResourceHandle;
    if (!start->last->done || !end->last->done) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(end->last->when - start->last->when).count();
    return cudaSuccess;
  });
}

}  // extern "C"
