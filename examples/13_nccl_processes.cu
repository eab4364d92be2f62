// The mean of all ranks' gradients over NCCL, one process and one GPU per rank. The ranks meet through a file:
//   13_nccl_processes <file> <rank> <ranks>   on every rank; all see the file
//   13_nccl_processes                         starts a process for each GPU of this machine
#include "gpu.hpp"

#include <ccomp/collectives.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/quantize/cast.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
namespace fs = std::filesystem;

namespace {

/// Rank 0 makes the id; the others wait for the file, which appears with all of it.
ncclUniqueId meet(fs::path const& file, int rank) {
  ncclUniqueId id;
  if (rank == 0) {
    id = ccomp::nccl_communicator::unique_id();
    auto const unfinished = file.string() + ".part";
    std::ofstream(unfinished, std::ios::binary).write(reinterpret_cast<char const*>(&id), sizeof id);
    fs::rename(unfinished, file);
    return id;
  }
  while (!fs::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&id), sizeof id);
  return id;
}

int run_rank(fs::path const& file, int rank, int ranks) {
  int const device = rank % gpu::count();
  gpu::ok(cudaSetDevice(device));
  gpu::stream const stream;
  gpu::memory<float> const gradient(std::vector<float>(100'000, static_cast<float>(2 * rank)));
  // [use]
  ccomp::cuda_exec const ex(stream.get());
  ccomp::nccl_communicator comm(meet(file, rank), rank, ranks, device);
  ccomp::workspace ws{ex};
  // The mean, in place. Naming the strategy spares nvcc the kernels of the others.
  ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, gradient.span(), ws, {}, ccomp::in_flight{});
  comm.wait(ex, std::chrono::seconds(60));  // throws if another rank fails
  comm.finalize();
  // [/use]
  // The mean of 0, 2, 4, ...; a bfloat16 holds it and all sums on the way.
  bool const good = gradient.to_host() == std::vector<float>(100'000, static_cast<float>(ranks - 1));
  std::printf("%s: rank %d of %d%s\n", good ? "ok" : "WRONG", rank, ranks, good ? " has the mean" : "");
  return good ? 0 : 1;
}

/// This program once for each rank; 0 if all ended well.
int start_all(char const* program, int ranks) {
  auto const folder = fs::temp_directory_path() / ("ccomp-" + std::to_string(getpid()));
  fs::create_directory(folder);
  auto const file = (folder / "id").string(), size = std::to_string(ranks);
  for (int r = 0; r < ranks; ++r)
    if (fork() == 0) {
      execl(program, program, file.c_str(), std::to_string(r).c_str(), size.c_str(), static_cast<char*>(nullptr));
      _exit(1);
    }
  int failed = 0;
  for (int status = 0; wait(&status) > 0;) failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  fs::remove_all(folder);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 4) return run_rank(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
  return start_all(argv[0], gpu::count());
} catch (std::exception const& e) {
  std::printf("%s\n", e.what());
  return 1;
}
