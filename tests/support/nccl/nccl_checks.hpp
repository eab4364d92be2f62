#pragma once
/// What the tests of nccl_communicator begin and end with.

#include <support/nccl/nccl_ranks.hpp>

#include <doctest/doctest.h>

namespace support {

/// Fails if a rank threw.
inline void all_well(std::vector<std::exception_ptr> const& thrown) {
  for (auto const& e : thrown) CHECK(text_of(e) == "");
}

/// Clean settings of the stand-ins, and no communicator left behind.
struct clean_sim {
  clean_sim() {
    nccl_sim::reset();
    cudart_sim::set_device_count(4);
    static_cast<void>(cudaSetDevice(0));
  }
  ~clean_sim() {
    CHECK(nccl_sim::communicators() == 0);
    nccl_sim::reset();
  }
};

}  // namespace support
