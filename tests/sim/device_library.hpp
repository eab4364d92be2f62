#pragma once
/// What the stand-ins for CUDA libraries share: handles, planned failures, and whether memory is a device's.

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace device_library {

inline bool on_device(void const* p, int device) {
  cudaPointerAttributes found{};
  if (!p || cudaPointerGetAttributes(&found, p) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  return (found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged) && found.device == device;
}
/// Making a handle allocates and waits, which a capture forbids; so does this.
inline bool may_wait() {
  void* probe = nullptr;
  if (cudaMalloc(&probe, 16) != cudaSuccess) return false;
  static_cast<void>(cudaFree(probe));
  return true;
}

/// Of one library. Work that is queued lives as long as the program, because graphs may run it again.
template <class Context, class Status, class Work> struct state {
  std::mutex lock;
  std::vector<std::unique_ptr<Context>> handles;
  std::vector<std::unique_ptr<Work>> queued;
  std::map<std::string, Status> failures;

  static state& get() {
    static state& only = *new state;  // outlives whatever ends with the program
    return only;
  }
  [[nodiscard]] bool knows(Context const* handle) const {
    for (auto const& h : handles)
      if (h.get() == handle) return true;
    return false;
  }
  std::optional<Status> planned(char const* function) {
    auto const found = failures.find(function);
    if (found == failures.end()) return std::nullopt;
    auto const status = found->second;
    failures.erase(found);
    return status;
  }
  /// The frame of every call on a handle.
  template <class Body> static Status api(char const* function, Context const* handle, Status unknown, Body body) {
    state& s = get();
    std::lock_guard const hold(s.lock);
    if (!s.knows(handle)) return unknown;
    if (auto const status = s.planned(function)) return *status;
    return body(s);
  }
  static int handle_count() {
    std::lock_guard const hold(get().lock);
    return static_cast<int>(get().handles.size());
  }
  static void fail_next(std::string function, Status status) {
    std::lock_guard const hold(get().lock);
    get().failures[std::move(function)] = status;
  }
};

}  // namespace device_library
