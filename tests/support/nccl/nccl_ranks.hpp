#pragma once
/// Ranks of an NCCL communicator as threads, each with its simulated device and stream.

#include <sim/cuda/cudart_sim.hpp>
#include <sim/nccl/nccl_sim.hpp>
#include <support/cuda/own_stream.hpp>

#include <ccomp/comm/nccl.hpp>

#include <exception>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace support {

/// A tensor in device memory of the current device.
template <class T> class on_gpu {
 public:
  explicit on_gpu(std::size_t n) : n_(n) {
    void* p = nullptr;
    if (n > 0) ccomp::detail::check_cuda(cudaMalloc(&p, n * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(p);
  }
  explicit on_gpu(std::vector<T> const& x) : on_gpu(x.size()) {
    if (n_ > 0)
      ccomp::detail::check_cuda(cudaMemcpy(data_, x.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  on_gpu(on_gpu const&) = delete;
  on_gpu& operator=(on_gpu const&) = delete;
  ~on_gpu() { static_cast<void>(cudaFree(data_)); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return n_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return std::as_writable_bytes(std::span(data_, n_)); }
  /// As it is in memory now: what waits on a stream is not in it.
  [[nodiscard]] std::vector<T> peek() const { return {data_, data_ + n_}; }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

/// Calls `f(communicator, exec)` on one thread a rank, with a communicator of its own each. What a rank threw, by rank;
/// empty where it threw nothing.
using rank_function = std::function<void(ccomp::nccl_communicator&, ccomp::cuda_exec const&)>;
inline std::vector<std::exception_ptr> on_ranks(int ranks, rank_function const& f, ccomp::nccl_options options = {}) {
  cudart_sim::set_device_count(4);
  auto const id = ccomp::nccl_communicator::unique_id();
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  {
    std::vector<std::jthread> threads;
    for (int r = 0; r < ranks; ++r)
      threads.emplace_back([&, r] {
        try {
          ccomp::detail::check_cuda(cudaSetDevice(r), "cudaSetDevice");
          own_stream const stream;
          ccomp::cuda_exec const ex(stream.get());
          ccomp::nccl_communicator comm(id, r, ranks, r, options);
          f(comm, ex);
          comm.finalize();
        } catch (...) {
          thrown[static_cast<std::size_t>(r)] = std::current_exception();
        }
      });
  }
  return thrown;
}

/// What `f` threw, as "Type: text"; nothing if nothing.
inline std::string text_of(std::exception_ptr const& e) {
  if (!e) return {};
  try {
    std::rethrow_exception(e);
  } catch (ccomp::timeout const& x) {
    return std::string("timeout: ") + x.what();
  } catch (ccomp::nccl_error const& x) {
    return std::string("nccl_error: ") + x.what();
  } catch (ccomp::communicator_error const& x) {
    return std::string("communicator_error: ") + x.what();
  } catch (ccomp::rank_mismatch const& x) {
    return std::string("rank_mismatch: ") + x.what();
  } catch (ccomp::invalid_argument const& x) {
    return std::string("invalid_argument: ") + x.what();
  } catch (ccomp::cuda_error const& x) {
    return std::string("cuda_error: ") + x.what();
  } catch (std::exception const& x) {
    return std::string("other: ") + x.what();
  }
}
template <class F> std::string error_of(F const& f) {
  try {
    f();
  } catch (...) {
    return text_of(std::current_exception());
  }
  return {};
}

}  // namespace support
