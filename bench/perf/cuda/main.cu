// ccomp-perf-cuda: collectives of device memory over threads of this process, a stream each, and over NCCL, a GPU each.
#include "../options.hpp"
#include "bench/compare/printable.hpp"
#include "bench/compare/user_error.hpp"
#include "bench/cuda/gpu_facts.cuh"
#include "transport.cuh"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace perf;

constexpr int wrong_input = 2;
constexpr auto program_name = "ccomp-perf-cuda";

int gpus_of_machine() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count < 1)
    throw compare::user_error("it needs an NVIDIA GPU and its driver.");
  return count;
}

std::size_t measured(options const& wanted) {
  int const there = gpus_of_machine(), gpus = wanted.gpus > 0 ? wanted.gpus : there;
  if (gpus > there)
    throw compare::user_error("-g '" + std::to_string(gpus) + "' is more than the " + std::to_string(there) +
                              " of this machine.");
  auto const device = gpu::current().name;
#if CCOMP_PERF_NCCL
  if (wanted.transport == "nccl") return measure_over_nccl(wanted, gpus, device);
#endif
  return measure_over_threads(wanted, gpus, device);
}

}

int main(int argc, char** argv) {
  // Ranks are threads: a kernel that is loaded later could wait for a rank that waits for this one.
  static_cast<void>(setenv("CUDA_MODULE_LOADING", "EAGER", 0));  // NOLINT(concurrency-mt-unsafe): no thread yet
  try {
    offer program{program_name, {"threads"}, true, "of device memory, compressed and dense"};
#if CCOMP_PERF_NCCL
    program.transports.emplace_back("nccl");
#endif
    auto const wanted = parse_options(program, std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
    if (!wanted.help.empty()) {
      std::cout << wanted.help;
      return EXIT_SUCCESS;
    }
    if (wanted.feedback)
      throw compare::user_error("--feedback is for ccomp-perf alone: this program has no passes with error feedback.");
    return measured(wanted) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (compare::user_error const& e) {
    std::cerr << program_name << ": " << compare::printable(e.what()) << std::endl;
    return wrong_input;
  } catch (std::exception const& e) {
    std::cerr << program_name << ": " << compare::printable(e.what()) << std::endl;
    return EXIT_FAILURE;
  }
}
