#pragma once
// What the examples for GPUs share: device memory, a stream, and the sentence where there is no GPU.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

namespace gpu {

inline void ok(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(status));
  std::exit(1);
}

/// How many GPUs there are; ends the program, as skipped, where there is none.
inline int count() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return devices;
  std::puts("skipped: this example needs an NVIDIA GPU and its driver");
  std::exit(77);
}

/// n values on the current device.
template <class T> class memory {
 public:
  explicit memory(std::size_t n) : n_(n) {
    void* p = nullptr;
    ok(cudaMalloc(&p, n * sizeof(T)));
    data_ = static_cast<T*>(p);
  }
  explicit memory(std::vector<T> const& host) : memory(host.size()) {
    ok(cudaMemcpy(data_, host.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  memory(memory const&) = delete;
  memory& operator=(memory const&) = delete;
  ~memory() { static_cast<void>(cudaFree(data_)); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::span<T> span() const { return {data_, n_}; }
  [[nodiscard]] std::vector<T> to_host() const {
    std::vector<T> host(n_);
    ok(cudaMemcpy(host.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

class stream {
 public:
  stream() { ok(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  stream(stream const&) = delete;
  stream& operator=(stream const&) = delete;
  ~stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  [[nodiscard]] cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

inline std::vector<float> gradient_of(int rank, std::size_t n) {
  std::mt19937 engine(static_cast<unsigned>(rank));
  std::normal_distribution<float> normal;
  std::vector<float> gradient(n);
  for (float& g : gradient) g = normal(engine);
  return gradient;
}

}  // namespace gpu
