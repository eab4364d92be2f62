#pragma once

#include "gpu_facts.cuh"

#include <ccomp/core/error.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

namespace gpu {

/// What main does: says which GPU it is, or that there is none (exit code 2); then runs what `add` registers.
template <class Add> int run_benchmarks(char const* program, int argc, char** argv, Add const& add) {
  benchmark::Initialize(&argc, argv);
  try {
    auto const found = current();
    benchmark::AddCustomContext("gpu", found.name);
    benchmark::AddCustomContext("cuda_runtime", std::to_string(found.runtime));
    benchmark::AddCustomContext("cuda_driver", std::to_string(found.driver));
  } catch (ccomp::error const& e) {
    std::fprintf(stderr, "%s needs an NVIDIA GPU: %s\n", program, e.what());
    return 2;
  }
  add();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace gpu
