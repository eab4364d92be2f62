// The mean of all ranks' gradients over NCCL, one process a rank and a GPU each. The ranks meet through a file:
//   13_nccl_processes <file> <rank> <ranks>      on every rank, on a file system that all see
//   13_nccl_processes                            starts one process for each GPU of this machine
#include <sys/wait.h>
#include <unistd.h>

#include <ccomp/collectives.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/quantize/cast.hpp>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "gpu.hpp"

namespace {

constexpr std::size_t n = 100'000;

// [meet]
/// Rank 0 makes the id; the others wait for the file, which appears with all of it.
ncclUniqueId meet(std::filesystem::path const& file, int rank) {
  ncclUniqueId id;
  if (rank == 0) {
    id = ccomp::nccl_communicator::unique_id();
    auto const unfinished = file.string() + ".part";
    std::ofstream(unfinished, std::ios::binary).write(reinterpret_cast<char const*>(&id), sizeof id);
    std::filesystem::rename(unfinished, file);
    return id;
  }
  while (!std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&id), sizeof id);
  return id;
}
// [/meet]

int run_rank(std::filesystem::path const& file, int rank, int ranks) {
  int const device = rank % gpu::count();
  gpu::ok(cudaSetDevice(device));
  gpu::stream const stream;
  gpu::memory<float> const gradient(gpu::gradient_of(rank, n));
  // [allreduce]
  ccomp::cuda_exec const ex(stream.get());
  ccomp::nccl_communicator comm(meet(file, rank), rank, ranks, device);
  ccomp::workspace ws{ex};
  ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, gradient.span(), ws);  // the mean, in place
  comm.wait(ex, std::chrono::seconds(60));  // throws if another rank fails meanwhile
  comm.finalize();
  // [/allreduce]

  std::vector<double> mean(n);
  for (int r = 0; r < ranks; ++r) {
    auto const x = gpu::gradient_of(r, n);
    for (std::size_t i = 0; i < n; ++i) mean[i] += double(x[i]) / ranks;
  }
  auto const result = gradient.to_host();
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < n; ++i) {
    error += std::pow(double(result[i]) - mean[i], 2);
    norm += mean[i] * mean[i];
  }
  bool const good = std::sqrt(error / norm) < 0.01;
  std::printf("%s: rank %d of %d, relative error %.4f\n", good ? "ok" : "WRONG", rank, ranks, std::sqrt(error / norm));
  return good ? 0 : 1;
}

/// This program once for each rank; 0 if all ended well.
int start_all(char const* program, int ranks) {
  auto const folder = std::filesystem::temp_directory_path() / ("ccomp-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  auto const file = (folder / "id").string(), size = std::to_string(ranks);
  std::vector<pid_t> children;
  for (int r = 0; r < ranks; ++r) {
    auto const rank = std::to_string(r);
    pid_t const child = fork();
    if (child == 0) {
      execl(program, program, file.c_str(), rank.c_str(), size.c_str(), static_cast<char*>(nullptr));
      _exit(1);
    }
    children.push_back(child);
  }
  int failed = 0;
  for (pid_t const child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++failed;
  }
  std::filesystem::remove_all(folder);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4) return run_rank(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
    return start_all(argv[0], gpu::count());
  } catch (std::exception const& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}
