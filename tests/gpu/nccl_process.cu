// One rank of an allreduce over the real NCCL, as a process: nccl_process <file of the unique id> <rank> <ranks>. Started
// once a rank by nccl_processes.sh. Several ranks may share a GPU: then each says it lives on another host, or NCCL is
// told to allow it.
#include <ccomp/collectives.cuh>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/generators.hpp>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t n = 5000;
constexpr ccomp::allreduce_options options{.op = ccomp::reduction::mean, .at = 7};

std::vector<float> input_of(int rank) { return support::gaussian_values(n, 50 + static_cast<std::uint64_t>(rank)); }

ncclUniqueId meet(std::filesystem::path const& file, int rank) {
  if (rank == 0) {
    auto const id = ccomp::nccl_communicator::unique_id();
    auto const part = file.string() + ".part";
    std::ofstream(part, std::ios::binary).write(reinterpret_cast<char const*>(&id), sizeof id);
    std::filesystem::rename(part, file);  // the others see all of it or nothing
    return id;
  }
  for (int i = 0; i < 600 && !std::filesystem::exists(file); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ncclUniqueId id;
  if (!std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&id), sizeof id))
    throw ccomp::communicator_error("rank 0 left no unique id in " + file.string());
  return id;
}

/// What the host's ranks get.
template <class C, class Strategy> std::vector<float> on_host(C const& c, int ranks, Strategy strategy) {
  std::vector<float> result;
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto mine = input_of(comm.rank());
    ccomp::workspace<ccomp::host_exec> ws{{1}};
    ccomp::allreduce(ccomp::host_exec{1}, comm, c, std::span(mine), ws, options, strategy);
    if (comm.rank() == 0) result = mine;
  });
  return result;
}

template <class C, class Strategy>
bool same(ccomp::cuda_exec const& ex, ccomp::nccl_communicator& comm, C const& c, Strategy strategy, float tolerance) {
  support::device_array<float> const x(input_of(comm.rank()));
  ccomp::workspace<ccomp::cuda_exec> ws{ex};
  ccomp::allreduce(ex, comm, c, std::span(x.data(), n), ws, options, strategy);
  comm.wait(ex, std::chrono::seconds(60));
  auto const got = x.values(), want = on_host(c, comm.size(), strategy);
  for (std::size_t i = 0; i < n; ++i)
    if (!(std::abs(got[i] - want[i]) <= tolerance)) {
      std::printf("rank %d, %s: value %zu is %a and on the host %a\n", comm.rank(), Strategy::name.data(), i,
                  static_cast<double>(got[i]), static_cast<double>(want[i]));
      return false;
    }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int const rank = std::atoi(argv[2]), ranks = std::atoi(argv[3]);
  try {
    int devices = 0, version = 0;
    ccomp::detail::check_cuda(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
    ccomp::detail::check_nccl(ncclGetVersion(&version), "ncclGetVersion");
    bool const told = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE") != nullptr;
    if (told && version < 23000) {
      if (rank == 0) std::puts("skipped: NCCL_MULTI_RANK_GPU_ENABLE, which needs NCCL 2.30");
      return 77;
    }
    if (!told && ranks > devices) setenv("NCCL_HOSTID", ("ccomp-" + std::to_string(rank)).c_str(), 1);
    int const device = rank % devices;
    ccomp::detail::check_cuda(cudaSetDevice(device), "cudaSetDevice");
    support::own_stream const stream;
    ccomp::cuda_exec const ex(stream.get());
    ccomp::nccl_communicator comm(meet(argv[1], rank), rank, ranks, device);
    bool const ok = same(ex, comm, ccomp::natural{}, ccomp::gather{}, 0) &&
                    same(ex, comm, ccomp::natural{}, ccomp::two_shot{}, 0) &&
                    same(ex, comm, ccomp::cast<ccomp::bfloat16>{}, ccomp::in_flight{}, 0.05f);
    comm.finalize();
    if (ok) std::printf("ok: rank %d of %d on device %d, NCCL %d\n", rank, ranks, device, version);
    return ok ? 0 : 1;
  } catch (std::exception const& e) {
    std::printf("rank %d: %s\n", rank, e.what());
    return 1;
  }
}
