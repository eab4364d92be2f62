#pragma once

#include "bench/cuda/device_memory.cuh"
#include "bench/cuda/stopwatch.cuh"

#include <cstddef>
#include <deque>
#include <span>

namespace compare {

// What one rank received during a call, in device memory; see replay.hpp.
struct device_exchanges : std::deque<gpu::device_memory<std::byte>> {
  void keep(ccomp::cuda_exec const& ex, std::span<std::byte const> received) {
    emplace_back(received.size());
    ex.copy(back().data(), received.data(), received.size());
  }

  class copier {
   public:
    void copy(ccomp::cuda_exec const& ex, gpu::device_memory<std::byte> const& from, std::span<std::byte> to) {
      watches_.emplace_back().record(ex, [&] { ex.copy(to.data(), from.data(), to.size()); });
    }
    double seconds() const {
      double sum = 0;
      for (auto const& watch : watches_) sum += watch.seconds();
      return sum;
    }

   private:
    std::deque<gpu::stopwatch> watches_;
  };
};

}
