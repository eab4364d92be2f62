#include "../program.hpp"
#include "../refusing.hpp"
#include "bench/cuda/gpu_facts.cuh"
#include "device_compressor.cuh"

#include <algorithm>

namespace compare {
namespace {

template <typename... Stages> std::vector<std::string> names_of(ccomp::detail::device_stage_list<Stages...>) {
  std::vector<std::string> names = {ccomp::detail::stage_text(Stages{})...};
  for (auto& name : names) name.resize(std::min(name.size(), name.find('(')));
  return names;
}

// CUDA writes 13.1 as 13010.
std::string version_text(int version) {
  return std::to_string(version / 1000) + '.' + std::to_string(version % 1000 / 10);
}

}

program const& this_program() {
  static program const one = {
      "ccomp-compare-cuda",
      "10gbit,100gbit,400gbit,3200gbit",
      "400gbit",
      256,
      "as medians of times between events on a stream of the GPU, each repetition interleaved with the "
      "yardstick: a copy of the same array on the device, whose bytes count twice, as read and "
      "as written. Errors are computed on the host; for the timed input the GPU's payload and "
      "what it decodes are compared with the host's. The ranks of the timed allreduce share the "
      "GPU, each with a stream.",
      "alone on its GPU (what the others send is copied within its memory, and those copies are "
      "not counted)",
      names_of(of_library::stages{})};
  return one;
}

void describe_machine(environment& where) {
  try {
    auto const found = gpu::current();
    where.device = {found.name, version_text(found.runtime), version_text(found.driver)};
  } catch (ccomp::cuda_error const& e) {
    throw user_error("it needs an NVIDIA GPU: " + sentence(e));
  }
}

}
