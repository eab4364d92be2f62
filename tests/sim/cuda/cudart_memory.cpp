// Memory and copies. Device memory has its exact size and is really freed, so that ASan sees a use after the end or
// after the free; it starts as 0xff.
#include "cuda_sim.hpp"
#include "cudart_state.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

using namespace cudart_sim;

namespace {

std::uintptr_t address(void const* p) { return reinterpret_cast<std::uintptr_t>(p); }

cudaError_t allocate(runtime& r, void** out, std::size_t size, cudaMemoryType type, graph_body* graph = nullptr) {
  *out = nullptr;
  if (size == 0) return cudaSuccess;
  if (posix_memalign(out, 256, size) != 0) return cudaErrorMemoryAllocation;
  std::memset(*out, 0xff, size);
  r.memory[address(*out)] = {size, type, current_device, false, false, graph};
  if (type == cudaMemoryTypeHost) cuda_sim::add_shared_memory(*out, size);
  ++r.counts.allocations;
  return cudaSuccess;
}

cudaError_t allocate_now(char const* name, void** out, std::size_t size, cudaMemoryType type) {
  return api(name, [&](runtime& r, hold&) {
    if (!out) return cudaErrorInvalidValue;
    if (auto const error = r.forbidden_in_capture(); error != cudaSuccess) return error;
    return allocate(r, out, size, type);
  });
}

cudaError_t free_now(char const* name, void* p, bool pinned) {
  return api(name, [&](runtime& r, hold& held) {
    if (auto const error = r.forbidden_in_capture(); error != cudaSuccess) return error;
    if (!p) return cudaSuccess;
    auto const found = r.memory.find(address(p));
    if (found == r.memory.end() || found->second.registered || found->second.free_queued || found->second.graph ||
        pinned != (found->second.type == cudaMemoryTypeHost))
      return cudaErrorInvalidValue;
    // All work of the device is done before its memory goes.
    if (auto const error = r.drain_device(held, found->second.device, name); error != cudaSuccess) return error;
    r.memory.erase(address(p));
    cuda_sim::remove_shared_memory(p);
    std::free(p);
    return cudaSuccess;
  });
}

enum class side { device, pinned, pageable };

side side_of(runtime& r, void const* p) {
  auto const found = r.find(p);
  if (found == r.memory.end()) return side::pageable;
  return found->second.type == cudaMemoryTypeHost ? side::pinned : side::device;
}

/// Is [p, p + size) within the allocation where it starts, and not yet freed in order?
bool inside(runtime& r, void const* p, std::size_t size) {
  auto const found = r.find(p);
  if (found == r.memory.end()) return true;
  return !found->second.free_queued && size <= found->first + found->second.size - address(p);
}

/// What the runtime refuses: directions that are not so, and memory that is not all there.
cudaError_t check_copy(runtime& r, void const* to, std::size_t to_size, void const* from, std::size_t from_size,
                       cudaMemcpyKind kind) {
  if (!to || !from) return cudaErrorInvalidValue;
  bool const to_device = side_of(r, to) == side::device, from_device = side_of(r, from) == side::device;
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (kind != cudaMemcpyDefault) {
    if (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice)) return cudaErrorInvalidValue;
    if (from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice))
      return cudaErrorInvalidValue;
  }
  return inside(r, to, to_size) && inside(r, from, from_size) ? cudaSuccess : cudaErrorInvalidValue;
}

/// Queues a copy. From or to pageable memory it may wait for the stream, and counts as if it did.
cudaError_t queue_copy(runtime& r, CUstream_st& s, void const* to, void const* from, work copy) {
  bool const pageable = side_of(r, to) == side::pageable || side_of(r, from) == side::pageable;
  if (pageable && !s.recording) ++r.counts.host_syncs;
  return r.enqueue(s, std::move(copy));
}

cudaError_t copy_async(char const* name, void* to, void const* from, std::size_t size, cudaMemcpyKind kind,
                       cudaStream_t handle) {
  return api(name, [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, name);
    if (!s) return cudaErrorInvalidResourceHandle;
    if (size == 0) return cudaSuccess;
    if (auto const error = check_copy(r, to, size, from, size, kind); error != cudaSuccess) return error;
    return queue_copy(r, *s, to, from, [=] { std::memmove(to, from, size); });
  });
}

cudaError_t set_async(char const* name, void* to, int value, std::size_t size, cudaStream_t handle) {
  return api(name, [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, name);
    if (!s) return cudaErrorInvalidResourceHandle;
    if (size == 0) return cudaSuccess;
    if (!to || side_of(r, to) == side::pageable || !inside(r, to, size)) return cudaErrorInvalidValue;
    return r.enqueue(*s, [=] { std::memset(to, value, size); });
  });
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** out, size_t size) { return allocate_now("cudaMalloc", out, size, cudaMemoryTypeDevice); }
cudaError_t cudaMallocManaged(void** out, size_t size, unsigned) {
  return allocate_now("cudaMallocManaged", out, size, cudaMemoryTypeManaged);
}
cudaError_t cudaMallocHost(void** out, size_t size) {
  return allocate_now("cudaMallocHost", out, size, cudaMemoryTypeHost);
}
cudaError_t cudaHostAlloc(void** out, size_t size, unsigned) {
  return allocate_now("cudaHostAlloc", out, size, cudaMemoryTypeHost);
}
cudaError_t cudaFree(void* p) { return free_now("cudaFree", p, false); }
cudaError_t cudaFreeHost(void* p) { return free_now("cudaFreeHost", p, true); }

cudaError_t cudaHostGetDevicePointer(void** out, void* p, unsigned) {
  return api("cudaHostGetDevicePointer", [&](runtime& r, hold&) {
    if (side_of(r, p) != side::pinned) return cudaErrorInvalidValue;
    *out = p;
    return cudaSuccess;
  });
}
cudaError_t cudaHostRegister(void* p, size_t size, unsigned) {
  return api("cudaHostRegister", [&](runtime& r, hold&) {
    if (!p || size == 0) return cudaErrorInvalidValue;
    if (r.find(p) != r.memory.end()) return cudaErrorHostMemoryAlreadyRegistered;
    r.memory[address(p)] = {size, cudaMemoryTypeHost, current_device, true, false, nullptr};
    cuda_sim::add_shared_memory(p, size);
    return cudaSuccess;
  });
}
cudaError_t cudaHostUnregister(void* p) {
  return api("cudaHostUnregister", [&](runtime& r, hold&) {
    auto const found = r.memory.find(address(p));
    if (found == r.memory.end() || !found->second.registered) return cudaErrorHostMemoryNotRegistered;
    r.memory.erase(found);
    cuda_sim::remove_shared_memory(p);
    return cudaSuccess;
  });
}

// Zero bytes, and a null pointer to free, are refused as by the driver's pools.
cudaError_t cudaMallocAsync(void** out, size_t size, cudaStream_t handle) {
  return api("cudaMallocAsync", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaMallocAsync");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (!out || size == 0) return cudaErrorInvalidValue;
    if (!s->recording) return allocate(r, out, size, cudaMemoryTypeDevice);
    graph_body* const graph = s->recording->body.get();
    if (auto const error = allocate(r, out, size, cudaMemoryTypeDevice, graph); error != cudaSuccess) return error;
    graph->memory.push_back(*out);
    return r.enqueue(*s, [p = *out, size] { std::memset(p, 0xff, size); });  // new in every replay
  });
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t handle) {
  return api("cudaFreeAsync", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaFreeAsync");
    if (!s) return cudaErrorInvalidResourceHandle;
    auto const found = r.memory.find(address(p));
    if (found == r.memory.end() || found->second.free_queued || found->second.type != cudaMemoryTypeDevice)
      return cudaErrorInvalidValue;
    if (s->recording || found->second.graph) {
      if (!s->recording || found->second.graph != s->recording->body.get()) return cudaErrorInvalidValue;
      return r.enqueue(*s, [p, size = found->second.size] { std::memset(p, 0xff, size); });
    }
    auto const queued = r.enqueue(*s, [p] {
      runtime& now = runtime::get();
      hold const held(now.lock);
      now.memory.erase(address(p));
      std::free(p);
    });
    if (queued == cudaSuccess) found->second.free_queued = true;
    return queued;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, void const* p) {
  return api("cudaPointerGetAttributes", [&](runtime& r, hold&) {
    if (!out || !p) return cudaErrorInvalidValue;
    *out = {};
    auto const found = r.find(p);
    if (found == r.memory.end()) {
      out->type = cudaMemoryTypeUnregistered;
      out->device = cudaInvalidDeviceId;
      out->hostPointer = const_cast<void*>(p);
      return cudaSuccess;
    }
    out->type = found->second.type;
    out->device = found->second.device;
    out->devicePointer = const_cast<void*>(p);
    out->hostPointer = found->second.type == cudaMemoryTypeDevice ? nullptr : const_cast<void*>(p);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t size, cudaMemcpyKind kind, cudaStream_t s) {
  return copy_async("cudaMemcpyAsync", to, from, size, kind, s);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, void const* from, int, size_t size, cudaStream_t s) {
  return copy_async("cudaMemcpyPeerAsync", to, from, size, cudaMemcpyDeviceToDevice, s);
}

cudaError_t cudaMemcpy(void* to, void const* from, size_t size, cudaMemcpyKind kind) {
  if (auto const error = copy_async("cudaMemcpy", to, from, size, kind, nullptr); error != cudaSuccess) return error;
  return api("", [&](runtime& r, hold& held) {
    if (side_of(r, to) == side::device && side_of(r, from) == side::device) return cudaSuccess;  // does not wait
    return r.wait(held, *r.stream(nullptr, ""), "cudaMemcpy");
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, void const* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t handle) {
  return api("cudaMemcpy2DAsync", [&](runtime& r, hold&) {
    CUstream_st* const s = r.stream(handle, "cudaMemcpy2DAsync");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
    if (width == 0 || height == 0) return cudaSuccess;
    auto const error =
        check_copy(r, to, (height - 1) * to_pitch + width, from, (height - 1) * from_pitch + width, kind);
    if (error != cudaSuccess) return error;
    return queue_copy(r, *s, to, from, [=] {
      for (std::size_t row = 0; row < height; ++row)
        std::memmove(static_cast<char*>(to) + row * to_pitch, static_cast<char const*>(from) + row * from_pitch, width);
    });
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t s) {
  return set_async("cudaMemsetAsync", to, value, size, s);
}
cudaError_t cudaMemset(void* to, int value, size_t size) { return set_async("cudaMemset", to, value, size, nullptr); }

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return api("cudaMemGetInfo", [&](runtime& r, hold&) {
    *total = std::size_t{80} << 30;
    *available = *total;
    for (auto const& [start, found] : r.memory)
      if (found.type == cudaMemoryTypeDevice && found.device == current_device) *available -= found.size;
    return cudaSuccess;
  });
}

}  // extern "C"
