#pragma once
/// Device memory with a vector's values, for tests.

#include <ccomp/exec/cuda.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace support {

/// n values on the current device; zeros, or a copy of a vector. Exactly as long as asked for, so that ASan sees an
/// access behind the end.
template <class T> class device_array {
 public:
  explicit device_array(std::vector<T> const& values) : n_(values.size()) {
    void* got = nullptr;
    ccomp::detail::check_cuda(cudaMalloc(&got, n_ * sizeof(T)), "cudaMalloc");
    at_ = static_cast<T*>(got);
    copy(at_, values.data(), cudaMemcpyHostToDevice);
  }
  explicit device_array(std::size_t n) : device_array(std::vector<T>(n)) {}
  ~device_array() { static_cast<void>(cudaFree(at_)); }
  device_array(device_array const&) = delete;
  device_array& operator=(device_array const&) = delete;

  [[nodiscard]] T* data() const { return at_; }
  [[nodiscard]] std::size_t size() const { return n_; }
  [[nodiscard]] std::span<T> span() const { return {at_, n_}; }
  /// Waits for the device's default stream, not for others.
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(n_);
    copy(out.data(), at_, cudaMemcpyDeviceToHost);
    return out;
  }

 private:
  void copy(T* to, T const* from, cudaMemcpyKind kind) const {
    ccomp::detail::check_cuda(cudaMemcpy(to, from, n_ * sizeof(T), kind), "cudaMemcpy");
  }

  T* at_ = nullptr;
  std::size_t n_;
};

}  // namespace support
