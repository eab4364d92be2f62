#pragma once

#include "../measure.hpp"
#include "bench/compare/cuda/device_compressor.cuh"
#include "bench/cuda/device_memory.cuh"
#include "bench/cuda/own_stream.cuh"

#include <ccomp/collectives.cuh>

namespace perf {

// A rank with a stream on the current device.
template <class Comm> class device_rank {
 public:
  static constexpr bool can_feed_back = false;  // the passes of compare/cuda are those without feedback

  device_rank(world& ranks, Comm& one) : ex(stream_.get()), all(ranks), comm(one) {}

  static char const* native_name() { return ""; }
  static bool has_native(operation_facts const&, ccomp::element_type, ccomp::reduction) { return false; }
  static void native(native_call const&) {}

  static compare::device_compressor compressor(std::string const& text) { return compare::parse_for_device(text); }
  void settle() const { ex.synchronize(); }

  template <class T> using memory = gpu::device_memory<T>;

  // Events on the stream, before and after each call: nothing waits for the host between calls.
  class stopwatch {
   public:
    stopwatch(device_rank const& self, std::size_t calls) : self_(self), events_(2 * calls) {
      for (auto& e : events_) ccomp::detail::check_cuda(cudaEventCreate(&e), "cudaEventCreate");
    }
    stopwatch(stopwatch const&) = delete;
    stopwatch& operator=(stopwatch const&) = delete;
    ~stopwatch() {
      for (auto const e : events_) static_cast<void>(cudaEventDestroy(e));
    }
    void start(std::size_t i) { record(2 * i); }
    void stop(std::size_t i) { record(2 * i + 1); }
    std::vector<double> seconds() const {
      self_.settle();
      std::vector<double> all;
      for (std::size_t i = 0; i < events_.size(); i += 2) {
        float milliseconds = 0;
        ccomp::detail::check_cuda(cudaEventElapsedTime(&milliseconds, events_[i], events_[i + 1]),
                                  "cudaEventElapsedTime");
        all.push_back(static_cast<double>(milliseconds) / 1e3);
      }
      return all;
    }

   private:
    void record(std::size_t i) {
      ccomp::detail::check_cuda(cudaEventRecord(events_[i], self_.ex.stream()), "cudaEventRecord");
    }

    device_rank const& self_;
    std::vector<cudaEvent_t> events_;
  };

 private:
  gpu::own_stream const stream_;

 public:
  ccomp::cuda_exec const ex;
  world& all;
  Comm& comm;
};

}
