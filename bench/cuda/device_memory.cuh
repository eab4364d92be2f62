#pragma once

#include <ccomp/exec/cuda.hpp>

#include <cstddef>
#include <span>

namespace gpu {

/// n values on the current device, not set to anything.
template <class T> class device_memory {
 public:
  explicit device_memory(std::size_t n) : n_(n) {
    void* p = nullptr;
    ccomp::detail::check_cuda(cudaMalloc(&p, n * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(p);
  }
  device_memory(device_memory const&) = delete;
  device_memory& operator=(device_memory const&) = delete;
  ~device_memory() { static_cast<void>(cudaFree(data_)); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return n_; }
  [[nodiscard]] std::span<T> span() const { return {data_, n_}; }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

}  // namespace gpu
