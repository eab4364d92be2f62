#pragma once
// What CUB offers for top-k: a radix sort of all keys with their indices.

#include <ccomp/exec/cuda.hpp>

#include <cub/device/device_radix_sort.cuh>

#include <cstddef>
#include <cstdint>

namespace peer {

namespace kernels {

template <class Index> __global__ void magnitudes(float const* x, std::uint32_t* keys, Index* indices, Index n) {
  Index const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  keys[i] = __float_as_uint(x[i]) & 0x7fffffffu;
  indices[i] = i;
}

}  // namespace kernels

class radix_sort_magnitudes {
 public:
  explicit radix_sort_magnitudes(std::size_t n) : n_(static_cast<std::uint32_t>(n)) {
    sort(nullptr, scratch_bytes_, nullptr);
    ccomp::detail::check_cuda(cudaMalloc(&scratch_, scratch_bytes_), "cudaMalloc");
    for (auto** p : {&keys_, &indices_, &sorted_keys_, &sorted_indices_}) {
      void* got = nullptr;
      ccomp::detail::check_cuda(cudaMalloc(&got, n * sizeof(std::uint32_t)), "cudaMalloc");
      *p = static_cast<std::uint32_t*>(got);
    }
  }
  radix_sort_magnitudes(radix_sort_magnitudes const&) = delete;
  radix_sort_magnitudes& operator=(radix_sort_magnitudes const&) = delete;
  ~radix_sort_magnitudes() {
    for (void* p : {scratch_, static_cast<void*>(keys_), static_cast<void*>(indices_), static_cast<void*>(sorted_keys_),
                    static_cast<void*>(sorted_indices_)})
      static_cast<void>(cudaFree(p));
  }
  void operator()(ccomp::cuda_exec const& ex, float const* x) {
    kernels::magnitudes<std::uint32_t><<<(n_ + 255) / 256, 256, 0, ex.stream()>>>(x, keys_, indices_, n_);
    sort(scratch_, scratch_bytes_, ex.stream());
  }
  /// Stable: of equal magnitudes the smaller index comes first.
  [[nodiscard]] std::uint32_t const* sorted_indices() const { return sorted_indices_; }

 private:
  void sort(void* scratch, std::size_t& bytes, cudaStream_t stream) {
    ccomp::detail::check_cuda(
        cub::DeviceRadixSort::SortPairsDescending(scratch, bytes, keys_, sorted_keys_, indices_, sorted_indices_,
                                                  static_cast<int>(n_), 0, 32, stream),
        "cub::DeviceRadixSort");
  }
  std::uint32_t n_;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::uint32_t *keys_ = nullptr, *indices_ = nullptr, *sorted_keys_ = nullptr, *sorted_indices_ = nullptr;
};

}  // namespace peer
