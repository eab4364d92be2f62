// The simulator itself: kernels as the CUDA programming guide defines them, and the runtime's order of things.
#include <doctest/doctest.h>

#include <array>
#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "support/cuda/cudart_sim.hpp"

using namespace ccomp;
using detail::check_cuda;
using detail::launch;

namespace {

/// Device memory of n values, filled from `values`.
template <class T> class device_array {
 public:
  explicit device_array(std::vector<T> const& values) : n_(values.size()) {
    check_cuda(cudaMalloc(reinterpret_cast<void**>(&at_), n_ * sizeof(T)), "cudaMalloc");
    check_cuda(cudaMemcpy(at_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  explicit device_array(std::size_t n) : device_array(std::vector<T>(n)) {}
  ~device_array() { static_cast<void>(cudaFree(at_)); }
  device_array(device_array const&) = delete;
  device_array& operator=(device_array const&) = delete;

  [[nodiscard]] T* data() const { return at_; }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(n_);
    check_cuda(cudaMemcpy(out.data(), at_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return out;
  }

 private:
  T* at_ = nullptr;
  std::size_t n_;
};

__global__ void reverse_within_block(int const* in, int* out, unsigned n) {
  CCOMP_SHARED(int[64], s);
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) s[threadIdx.x] = in[i];
  __syncthreads();
  unsigned const j = blockIdx.x * blockDim.x + blockDim.x - 1 - threadIdx.x;
  if (j < n) out[j] = s[blockDim.x - 1 - threadIdx.x] + 1000;
}

}  // namespace

TEST_CASE("a kernel runs when its stream is synchronised, and not before") {
  std::vector<int> in(150);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i);
  device_array<int> const from(in), to(in.size());
  cuda_exec const ex;
  auto const before = cudart_sim::count();
  launch(ex, "reverse_within_block", reverse_within_block, 3, 64, from.data(), to.data(), 150u);
  CHECK(cudart_sim::count().launches == before.launches + 1);
  CHECK(cudart_sim::count().host_syncs == before.host_syncs);
  CHECK(cudart_sim::pending() > 0);
  ex.synchronize();
  CHECK(cudart_sim::pending() == 0);
  for (auto& v : in) v += 1000;
  CHECK(to.values() == in);
}
