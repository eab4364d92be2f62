#pragma once
// The frame of a program with one planted mistake. `<program> planted` must fail, `<program> correct` must not: the
// same kernel, Correct or not. A file's first lines say what the mistake is and which builds report it, how.

#include "support/cuda/device_array.hpp"

#include <ccomp/engine/cuda/launch.cuh>

#include <cstdio>
#include <cstring>
#include <vector>

using ccomp::cuda_exec;
using ccomp::detail::launch;
using support::device_array;

/// 3, and a line, when the kernel's result is not the right one.
inline int verdict(bool right) {
  if (!right) std::puts("wrong result");
  return right ? 0 : 3;
}

#define PLANTED_MAIN                                                    \
  int main(int argc, char** argv) {                                     \
    bool const planted = argc == 2 && !std::strcmp(argv[1], "planted"); \
    return planted ? run<false>() : run<true>();                        \
  }
