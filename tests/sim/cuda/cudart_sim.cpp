// The simulated runtime's queues, and the tests' hooks.
#include "cudart_sim.hpp"

#include "cuda_sim.hpp"
#include "cudart_state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace cudart_sim {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

namespace {
int devices_at_first() {
  char const* const text = std::getenv("CCOMP_CUDA_DEVICES");
  return text ? std::atoi(text) : 1;
}
}  // namespace

runtime::runtime() : devices(devices_at_first()) {}

runtime& runtime::get() {
  static runtime& only = *new runtime;  // outlives every static that frees its memory at the end
  return only;
}

CUstream_st* runtime::stream(cudaStream_t handle, char const* call) {
  if (handle == nullptr || handle == cudaStreamLegacy) {
    auto& legacy = legacy_streams[current_device];
    if (!legacy) {
      legacy = std::make_shared<CUstream_st>();
      legacy->device = current_device;
      legacy->legacy = true;
      legacy->number = ++last_stream;
    }
    return legacy.get();
  }
  for (auto const& s : streams)
    if (s.get() == handle) return handle;
  for (auto const& s : gone)
    if (s.get() == handle) {
      std::fprintf(stderr, "cudart_sim: %s on a stream that was destroyed\n", call);
      std::abort();
    }
  return nullptr;
}

bool runtime::knows(cudaEvent_t e) const { return std::find(events.begin(), events.end(), e) != events.end(); }

void runtime::push(CUstream_st& s, task t) {
  s.queue.push_back(std::move(t));
  changed.notify_all();
}

std::shared_ptr<mark> runtime::mark_end(CUstream_st& s) {
  auto end = std::make_shared<mark>();
  push(s, {nullptr, end, nullptr, nullptr});
  return end;
}

cudaError_t runtime::enqueue(CUstream_st& s, work w) {
  if (s.recording) {
    if (s.recording->invalid) return cudaErrorStreamCaptureInvalidated;
    s.recording->body->steps.push_back(std::move(w));
    ++s.recorded;
    return cudaSuccess;
  }
  // The legacy stream and the blocking streams of its device wait for each other.
  if (s.legacy) {
    for (auto const& other : streams) {
      if (!other->blocking || other->device != s.device) continue;
      if (other->recording) {
        other->recording->invalid = true;
        return cudaErrorStreamCaptureImplicit;
      }
    }
    for (auto const* all : {&streams, &orphans})
      for (auto const& other : *all)
        if (other->blocking && other->device == s.device && (!other->queue.empty() || other->busy))
          push(s, {nullptr, nullptr, mark_end(*other), other});
  } else if (s.blocking) {
    auto const legacy = legacy_streams.find(s.device);
    if (legacy != legacy_streams.end() && (!legacy->second->queue.empty() || legacy->second->busy))
      push(s, {nullptr, nullptr, mark_end(*legacy->second), legacy->second});
  }
  push(s, {std::move(w), nullptr, nullptr, nullptr});
  return cudaSuccess;
}

void runtime::run_front(hold& held, CUstream_st& s) {
  task t = std::move(s.queue.front());
  s.queue.pop_front();
  s.busy = true;
  held.unlock();
  if (t.run) t.run();
  t.run = nullptr;  // what it owns goes without the lock
  held.lock();
  s.busy = false;
  if (t.sets) {
    t.sets->done = true;
    t.sets->when = std::chrono::steady_clock::now();
  }
  if (s.queue.empty()) orphans.remove_if([&](stream_ref const& o) { return o.get() == &s; });
  changed.notify_all();
}

cudaError_t runtime::drain(hold& held, stream_ref s, std::shared_ptr<mark> until) {
  for (;;) {
    if (until && until->done) return cudaSuccess;
    if (s->queue.empty() && !s->busy) return cudaSuccess;
    if (s->held_by == std::this_thread::get_id()) return cudaErrorLaunchTimeout;
    if (s->held_by || s->busy) {  // another thread releases it, or runs its work
      changed.wait(held);
      continue;
    }
    task const& next = s->queue.front();
    if (next.waits && !next.waits->done) {
      auto const [point, other] = std::pair(next.waits, next.other);
      if (auto const error = drain(held, other, point); error != cudaSuccess) return error;
      continue;  // the queue may have changed meanwhile
    }
    run_front(held, *s);
  }
}

bool runtime::step(hold& held, stream_ref s) {
  if (s->held_by || s->busy || s->queue.empty()) return false;
  task const& next = s->queue.front();
  if (next.waits && !next.waits->done) {
    auto const other = next.other;
    return step(held, other);
  }
  run_front(held, *s);
  return true;
}

cudaError_t runtime::wait(hold& held, CUstream_st& s, char const* call, std::shared_ptr<mark> until) {
  ++counts.host_syncs;
  auto const error = drain(held, s.shared_from_this(), std::move(until));
  if (error != cudaSuccess)
    std::fprintf(stderr, "cudart_sim: %s waits for a stream that this thread holds: a host synchronisation\n", call);
  return error;
}

cudaError_t runtime::drain_device(hold& held, int device, char const* call) {
  ++counts.host_syncs;
  std::vector<stream_ref> all;
  for (auto const* list : {&streams, &orphans})
    for (auto const& s : *list)
      if (s->device == device) all.push_back(s);
  if (auto const legacy = legacy_streams.find(device); legacy != legacy_streams.end()) all.push_back(legacy->second);
  for (auto const& s : all) {
    if (auto const error = drain(held, s); error != cudaSuccess) {
      std::fprintf(stderr, "cudart_sim: %s waits for a stream that this thread holds: a host synchronisation\n", call);
      return error;
    }
  }
  return cudaSuccess;
}

std::map<std::uintptr_t, allocation>::iterator runtime::find(void const* p) {
  auto const address = reinterpret_cast<std::uintptr_t>(p);
  auto after = memory.upper_bound(address);
  if (after == memory.begin()) return memory.end();
  --after;
  return address < after->first + after->second.size ? after : memory.end();
}

cudaError_t runtime::forbidden_in_capture() {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (auto const& c : captures) {
    bool const own = c->thread == std::this_thread::get_id();
    bool const strict = own ? c->mode != cudaStreamCaptureModeRelaxed
                            : c->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
    if (!strict) continue;
    c->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return cudaSuccess;
}

cudaError_t runtime::forbidden_for(CUstream_st const& s) {
  if (s.recording) {
    s.recording->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (s.legacy)
    for (auto const& other : streams)
      if (other->blocking && other->device == s.device && other->recording) {
        other->recording->invalid = true;
        return cudaErrorStreamCaptureImplicit;
      }
  return cudaSuccess;
}

cudaError_t planned_failure(runtime& r, char const* name) {
  auto const found = r.failures.find(name);
  if (found == r.failures.end()) return cudaSuccess;
  auto const error = found->second.front();
  found->second.pop_front();
  if (found->second.empty()) r.failures.erase(found);
  return error;
}

// ---- hooks
counters count() {
  hold const held(runtime::get().lock);
  counters now = runtime::get().counts;
  now.host_writes = cuda_sim::writes_to_host();
  return now;
}

void break_context(cudaError_t error) {
  hold const held(runtime::get().lock);
  runtime::get().broken = error;
}

std::size_t live_allocations() {
  hold const held(runtime::get().lock);
  return runtime::get().memory.size();
}

std::size_t live_bytes() {
  hold const held(runtime::get().lock);
  std::size_t sum = 0;
  for (auto const& [address, found] : runtime::get().memory) sum += found.size;
  return sum;
}

std::size_t pending() {
  runtime& r = runtime::get();
  hold const held(r.lock);
  std::size_t sum = 0;
  for (auto const* list : {&r.streams, &r.orphans})
    for (auto const& s : *list) sum += s->queue.size();
  for (auto const& [device, s] : r.legacy_streams) sum += s->queue.size();
  return sum;
}

std::vector<std::string> kernel_names() {
  hold const held(runtime::get().lock);
  return runtime::get().kernels;
}

void fail_next(std::string name, cudaError_t error) {
  hold const held(runtime::get().lock);
  runtime::get().failures[std::move(name)].push_back(error);
}

hold_stream::hold_stream(cudaStream_t s) : stream_(s) {
  hold const held(runtime::get().lock);
  CUstream_st* const found = runtime::get().stream(s, "hold_stream");
  if (!found) {
    std::fprintf(stderr, "cudart_sim: hold_stream: no such stream\n");
    std::abort();
  }
  found->held_by = std::this_thread::get_id();
}

hold_stream::~hold_stream() { release(); }

void hold_stream::release() {
  runtime& r = runtime::get();
  hold const held(r.lock);
  if (!std::exchange(held_, false)) return;
  if (CUstream_st* const found = r.stream(stream_, "hold_stream::release")) found->held_by.reset();
  r.changed.notify_all();
}

bool set_device_count(int n) {
  hold const held(runtime::get().lock);
  runtime::get().devices = n;
  return true;
}

void begin_anew() {
  runtime& r = runtime::get();
  hold held(r.lock);
  std::vector<stream_ref> all(r.streams.begin(), r.streams.end());
  all.insert(all.end(), r.orphans.begin(), r.orphans.end());
  for (auto const& [device, s] : r.legacy_streams) all.push_back(s);
  for (auto const& s : all) r.drain(held, s);
  r.gone.clear();
  r.broken = cudaSuccess;
  r.loaded.clear();
  r.devices = devices_at_first();
  current_device = 0;
  last_error = cudaSuccess;
}

}  // namespace cudart_sim
