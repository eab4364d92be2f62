// The mean of all ranks' gradients over NCCL in one process: a thread for each GPU, communicators made by
// ncclCommInitAll.
#include "gpu.hpp"

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/load_kernels.cuh>
#include <ccomp/quantize/natural.hpp>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>

int main() try {
  std::size_t const n = 50'000;
  int const ranks = gpu::count();
  std::vector<int> devices(static_cast<std::size_t>(ranks));
  std::iota(devices.begin(), devices.end(), 0);
  std::vector<std::vector<float>> results(devices.size());
  std::vector<std::string> errors(devices.size());

  auto comms = ccomp::nccl_communicator::init_all(devices);
  auto const call = [&](auto const& ex, auto& comm, auto const& gradient, auto& ws) {
    ccomp::allreduce(ex, comm, ccomp::natural{}, gradient.span(), ws, {.at = 7}, ccomp::gather{});
  };
  // [load]
  // Loading a kernel later could wait for a rank that waits for this one.
  for (std::size_t r = 0; r < devices.size(); ++r) {
    gpu::ok(cudaSetDevice(devices[r]));
    ccomp::cuda_exec const ex;
    ccomp::workspace ws{ex};
    gpu::memory<float> const gradient(n);
    ccomp::load_kernels(ex, comms[r], [&](auto& alike) { call(ex, alike, gradient, ws); });
  }
  // [/load]
  {
    std::vector<std::jthread> threads;
    for (std::size_t r = 0; r < devices.size(); ++r)
      threads.emplace_back([&, r] {
        try {
          gpu::ok(cudaSetDevice(devices[r]));
          gpu::stream const stream;
          ccomp::cuda_exec const ex(stream.get());
          ccomp::workspace ws{ex};
          gpu::memory<float> const gradient(gpu::gradient_of(static_cast<int>(r), n));
          call(ex, comms[r], gradient, ws);
          comms[r].wait(ex, std::chrono::seconds(60));
          results[r] = gradient.to_host();
          comms[r].finalize();
        } catch (std::exception const& e) {
          errors[r] = e.what();
        }
      });
  }

  // gather gives the bits of the host's, on every rank.
  std::vector<float> expected;
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{1};
    ccomp::workspace ws{ex};
    auto mine = gpu::gradient_of(comm.rank(), n);
    ccomp::allreduce(ex, comm, ccomp::natural{}, mine, ws, {.at = 7}, ccomp::gather{});
    if (comm.rank() == 0) expected = mine;
  });
  bool good = true;
  for (std::size_t r = 0; r < devices.size(); ++r) {
    if (!errors[r].empty()) std::printf("rank %zu: %s\n", r, errors[r].c_str());
    good = good && errors[r].empty() && results[r] == expected;
  }
  std::printf("%s: %d GPUs, %s\n", good ? "ok" : "WRONG", ranks,
              good ? "the host's bits on every one" : "not the host's bits on every one");
  return good ? 0 : 1;
} catch (std::exception const& e) {
  std::printf("%s\n", e.what());
  return 1;
}
