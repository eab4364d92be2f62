// The passes on a GPU: time by events, against a copy of 256 MiB on the device in the same loop.
#include "benchmarks.hpp"
#include "run_benchmarks.cuh"

int main(int argc, char** argv) {
  return gpu::run_benchmarks("ccomp-bench-cuda", argc, argv, [] {
    gpu::add_encode_8();
    gpu::add_decode_8();
    gpu::add_feedback_8();
    gpu::add_encode_4();
    gpu::add_rotated_4();
    gpu::add_small();
    gpu::add_reduce_8();
    gpu::add_reduce_4();
    gpu::add_sparse();
    gpu::add_sort();
  });
}
