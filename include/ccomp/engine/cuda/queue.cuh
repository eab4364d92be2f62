#pragma once
/// Where the kernels of a vector stage are queued, and the memory they work in.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/cuda/arrays.cuh>
#include <ccomp/engine/cuda/block_scan.cuh>
#include <ccomp/exec/cuda_workspace.hpp>

#include <algorithm>

CCOMP_BEGIN

/// Queues kernels on a stream. Without one it only goes through the motions, which tells how much memory they take, so
/// that a stage says once what it does. Copies share the count: what a copy took is free again when the copy is gone.
class device_queue {
 public:
  /// Of each thread block.
  static constexpr unsigned threads = detail::vector_threads;

  device_queue(cuda_exec const* ex, workspace<cuda_exec>& ws, detail::scratch memory, std::size_t& most)
      : ex_(ex), ws_(&ws), memory_(memory), whole_(memory.remaining().size()), most_(&most) {}

  /// Nothing is queued: a stage refuses here what it cannot do, before another rank is involved.
  [[nodiscard]] bool measures() const { return ex_ == nullptr; }
  [[nodiscard]] cuda_exec const& exec() const { return *ex_; }
  [[nodiscard]] workspace<cuda_exec>& memory() const { return *ws_; }
  [[nodiscard]] unsigned multiprocessors() const { return ex_ ? static_cast<unsigned>(ex_->multiprocessors()) : 1; }

  template <class T> T* take(std::uint64_t count) {
    T* const p = memory_.take<T>(count);
    *most_ = std::max(*most_, whole_ - memory_.remaining().size());
    return p;
  }
  /// `count` for each of `items`, each on 64 bytes.
  template <class T> per_item<T> take_each(std::uint64_t count, std::uint64_t items) {
    std::uint64_t const bytes = detail::scratch::bytes_for<T>(count);
    return {reinterpret_cast<T*>(take<std::byte>(bytes * items)), bytes};
  }

  /// `kernel<<<{blocks, items}, threads>>>(args...)`.
  template <class... P, class... A>
  void run(char const* name, void (*kernel)(P...), std::uint64_t blocks, unsigned items, A const&... args) const {
    if (!ex_) return;
    detail::expects(items <= 0xffff, [&] { return detail::sentence("CUDA: ", items, " chunks at once are too many"); });
    detail::launch(*ex_, name, kernel, dim3(static_cast<unsigned>(blocks), items), threads, args...);
  }
  /// With a thread for each of `work`.
  template <class... P, class... A>
  void run_each(char const* name, void (*kernel)(P...), std::uint64_t work, unsigned items, A const&... args) const {
    run(name, kernel, detail::ceil_div(work, threads), items, args...);
  }

 private:
  cuda_exec const* ex_;
  workspace<cuda_exec>* ws_;
  detail::scratch memory_;
  std::size_t whole_;
  std::size_t* most_;
};

CCOMP_END
