#pragma once

#include <ccomp/core/host_exec.hpp>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace compare {

// What one rank received during a call, in host memory; see replay.hpp.
struct exchanges : std::vector<std::vector<std::byte>> {
  using vector::vector;

  void keep(ccomp::host_exec const&, std::span<std::byte const> received) {
    emplace_back(received.begin(), received.end());
  }

  class copier {
   public:
    void copy(ccomp::host_exec const&, std::vector<std::byte> const& from, std::span<std::byte> to) {
      auto const start = std::chrono::steady_clock::now();
      if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
      seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    double seconds() const { return seconds_; }

   private:
    double seconds_ = 0;
  };
};

}
