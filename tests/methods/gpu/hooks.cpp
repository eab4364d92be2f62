// What tests ask of the simulated runtime (sim/cuda/cudart_sim.hpp), over the real one: the linker sends the
// programs' calls of a few functions through here (--wrap), where they are counted, or fail as planned.
#include <sim/cuda/cudart_sim.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace {

struct gate {
  std::mutex lock;
  std::condition_variable opened;
  bool open = false;
};

std::mutex lock;
cudart_sim::counters counted{};
std::map<void*, std::size_t> live;
std::vector<std::pair<std::string, cudaError_t>> planned;
std::map<cudaStream_t, std::pair<gate*, std::size_t>> held;  // and what was launched behind the gate
bool no_device = false;
thread_local cudaError_t planned_error = cudaSuccess;  // until cudaGetLastError

/// What a call of that name is to fail with.
cudaError_t failure(char const* name) {
  std::lock_guard const guard(lock);
  auto const found = std::find_if(planned.begin(), planned.end(), [&](auto const& p) { return p.first == name; });
  cudaError_t error = no_device ? cudaErrorNoDevice : cudaSuccess;
  if (found != planned.end()) {
    error = found->second;
    planned.erase(found);
  }
  if (error != cudaSuccess) planned_error = error;
  return error;
}
cudaError_t allocated(cudaError_t error, void** p, std::size_t size) {
  if (error != cudaSuccess || !*p) return error;
  std::lock_guard const guard(lock);
  ++counted.allocations;
  live[*p] = size;
  return error;
}
void freed(void* p) {
  std::lock_guard const guard(lock);
  live.erase(p);
}
void waits() {
  std::lock_guard const guard(lock);
  ++counted.host_syncs;
}
void launched(cudaStream_t s) {
  std::lock_guard const guard(lock);
  ++counted.launches;
  if (auto const found = held.find(s); found != held.end()) ++found->second.second;
}

}  // namespace

#define WRAPPED(name, parameters, arguments)                                   \
  cudaError_t __real_##name parameters;                                        \
  cudaError_t __wrap_##name parameters {                                       \
    if (auto const error = failure(#name); error != cudaSuccess) return error; \
    BEFORE;                                                                    \
    return __real_##name arguments;                                            \
  }

extern "C" {

#define BEFORE
WRAPPED(cudaGetDevice, (int* device), (device))
#undef BEFORE
#define BEFORE waits()
WRAPPED(cudaStreamSynchronize, (cudaStream_t s), (s))
WRAPPED(cudaEventSynchronize, (cudaEvent_t e), (e))
WRAPPED(cudaDeviceSynchronize, (), ())
WRAPPED(cudaMemcpy, (void* to, void const* from, size_t size, cudaMemcpyKind kind), (to, from, size, kind))
#undef BEFORE
#define BEFORE freed(p)
WRAPPED(cudaFree, (void* p), (p))
WRAPPED(cudaFreeHost, (void* p), (p))
WRAPPED(cudaFreeAsync, (void* p, cudaStream_t s), (p, s))
#undef BEFORE
#define BEFORE launched(s)
WRAPPED(cudaLaunchKernel, (void const* kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s),
        (kernel, grid, block, arguments, shared, s))
#if CUDART_VERSION >= 13000  // what <<<>>> calls
cudaError_t __real___cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t);
cudaError_t __wrap___cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                                      cudaStream_t s) {
  if (auto const error = failure("cudaLaunchKernel"); error != cudaSuccess) return error;
  launched(s);
  return __real___cudaLaunchKernel(kernel, grid, block, arguments, shared, s);
}
#endif
#undef BEFORE

#define WRAPPED_ALLOCATION(name, parameters, arguments)                        \
  cudaError_t __real_##name parameters;                                        \
  cudaError_t __wrap_##name parameters {                                       \
    if (auto const error = failure(#name); error != cudaSuccess) return error; \
    return allocated(__real_##name arguments, p, size);                        \
  }
WRAPPED_ALLOCATION(cudaMalloc, (void** p, size_t size), (p, size))
WRAPPED_ALLOCATION(cudaMallocHost, (void** p, size_t size), (p, size))
WRAPPED_ALLOCATION(cudaHostAlloc, (void** p, size_t size, unsigned flags), (p, size, flags))
WRAPPED_ALLOCATION(cudaMallocManaged, (void** p, size_t size, unsigned flags), (p, size, flags))
WRAPPED_ALLOCATION(cudaMallocAsync, (void** p, size_t size, cudaStream_t s), (p, size, s))

cudaError_t __real_cudaGetLastError();
cudaError_t __wrap_cudaGetLastError() {
  cudaError_t const real = __real_cudaGetLastError();
  return planned_error != cudaSuccess ? std::exchange(planned_error, cudaSuccess) : real;
}
cudaError_t __real_cudaPeekAtLastError();
cudaError_t __wrap_cudaPeekAtLastError() {
  return planned_error != cudaSuccess ? planned_error : __real_cudaPeekAtLastError();
}

}  // extern "C"

namespace cudart_sim {

counters count() {
  std::lock_guard const guard(lock);
  return counted;
}
std::size_t live_allocations() {
  std::lock_guard const guard(lock);
  return live.size();
}
std::size_t live_bytes() {
  std::lock_guard const guard(lock);
  std::size_t bytes = 0;
  for (auto const& [p, size] : live) bytes += size;
  return bytes;
}
/// Kernels behind a stream that a test holds; what else is queued nobody can tell.
std::size_t pending() {
  std::lock_guard const guard(lock);
  std::size_t sum = 0;
  for (auto const& [s, behind] : held) sum += behind.second;
  return sum;
}
void fail_next(std::string name, cudaError_t error) {
  std::lock_guard const guard(lock);
  planned.emplace_back(std::move(name), error);
}
bool set_device_count(int n) {
  std::lock_guard const guard(lock);
  no_device = n == 0;
  int there = 0;
  return n == 0 || (cudaGetDeviceCount(&there) == cudaSuccess && n <= there);
}

// A host function keeps the stream from going on until release().
hold_stream::hold_stream(cudaStream_t stream) : stream_(stream) {
  auto* const g = new gate;
  {
    std::lock_guard const guard(lock);
    held[stream] = {g, 0};
  }
  auto const wait = [](void* data) {
    auto* const mine = static_cast<gate*>(data);
    {
      std::unique_lock guard(mine->lock);
      mine->opened.wait(guard, [&] { return mine->open; });
    }
    delete mine;
  };
  if (cudaLaunchHostFunc(stream, wait, g) != cudaSuccess) {
    std::fputs("cudaLaunchHostFunc failed: a stream cannot be held\n", stderr);
    std::exit(1);
  }
}
hold_stream::~hold_stream() { release(); }
void hold_stream::release() {
  if (!held_) return;
  held_ = false;
  gate* g = nullptr;
  {
    std::lock_guard const guard(lock);
    g = held.at(stream_).first;
    held.erase(stream_);
  }
  std::lock_guard const guard(g->lock);  // the gate goes once this lock is free
  g->open = true;
  g->opened.notify_all();
}

}  // namespace cudart_sim
