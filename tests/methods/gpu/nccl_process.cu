// One rank of the collectives over the real NCCL, as a process: nccl_process <file of the unique id> <rank> <ranks>. Started
// once a rank by nccl_processes.sh. Several ranks may share a GPU: then each says it lives on another host, or NCCL is
// told to allow it.
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/generators.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/nccl.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t n = 5000;

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

/// A tensor and an output of all ranks' sizes; what a call leaves in both, one after the other.
template <class Call> std::vector<float> on_host(int ranks, int rank, Call const& call) {
  std::vector<float> result;
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto mine = input_of(comm.rank());
    std::vector<float> out(n * static_cast<std::size_t>(ranks));
    ccomp::workspace<ccomp::host_exec> ws{{1}};
    call(ccomp::host_exec{1}, comm, std::span(mine), std::span(out), ws);
    if (comm.rank() != rank) return;
    result = mine;
    result.insert(result.end(), out.begin(), out.end());
  });
  return result;
}

/// `call(exec, communicator, tensor, output, workspace)` on the GPU and by threads of the host: both leave the same.
template <class Call>
bool same(char const* name, ccomp::cuda_exec const& ex, ccomp::nccl_communicator& comm, Call const& call,
          float tolerance = 0) {
  support::device_array<float> const x(input_of(comm.rank()));
  support::device_array<float> const y(std::vector<float>(n * static_cast<std::size_t>(comm.size())));
  ccomp::workspace<ccomp::cuda_exec> ws{ex};
  call(ex, comm, std::span(x.data(), n), std::span(y.data(), y.size()), ws);
  comm.wait(ex, std::chrono::seconds(60));
  ws.check();
  auto got = x.values();
  auto const out = y.values(), want = on_host(comm.size(), comm.rank(), call);
  got.insert(got.end(), out.begin(), out.end());
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(got[i] - want[i]) <= tolerance)) {
      std::printf("rank %d, %s: value %zu is %a and on the host %a\n", comm.rank(), name, i,
                  static_cast<double>(got[i]), static_cast<double>(want[i]));
      return false;
    }
  return true;
}

/// Runs `call` once to make all ready; then a graph of it twice on a GPU, the call itself twice on the host.
template <class Call> void three_times(ccomp::host_exec const&, Call const& call) {
  for (int i = 0; i < 3; ++i) call();
}
template <class Call> void three_times(ccomp::cuda_exec const& ex, Call const& call) {
  call();
  ex.synchronize();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  using ccomp::detail::check_cuda;
  check_cuda(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  call();
  check_cuda(cudaStreamEndCapture(ex.stream(), &graph), "cudaStreamEndCapture");
  check_cuda(cudaGraphInstantiate(&ready, graph, 0), "cudaGraphInstantiate");
  for (int i = 0; i < 2; ++i) check_cuda(cudaGraphLaunch(ready, ex.stream()), "cudaGraphLaunch");
  ex.synchronize();
  check_cuda(cudaGraphExecDestroy(ready), "cudaGraphExecDestroy");
  check_cuda(cudaGraphDestroy(graph), "cudaGraphDestroy");
}

template <class C> auto feedback_of(ccomp::host_exec const&, C const& c) { return ccomp::error_feedback(c, n); }
template <class C> auto feedback_of(ccomp::cuda_exec const& ex, C const& c) { return ccomp::error_feedback(c, n, ex); }

bool all_collectives(ccomp::cuda_exec const& gpu, ccomp::nccl_communicator& nccl) {
  ccomp::natural const c;
  ccomp::top_k const sparse{.ratio = 0.05};
  std::size_t const chunk = 1000;
  return same("gather", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
                ccomp::allreduce(ex, comm, c, x, ws, {.at = 7}, ccomp::gather{});
              }) &&
         same("two_shot", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
                ccomp::allreduce(ex, comm, c, x, ws, {.at = 7}, ccomp::two_shot{});
              }) &&
         same(
             "in_flight", gpu, nccl,
             [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
               ccomp::allreduce(ex, comm, ccomp::cast<ccomp::bfloat16>{}, x, ws, {.at = 7}, ccomp::in_flight{});
             },
             0.05f) &&
         same("feedback, in a graph", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
                auto ef = feedback_of(ex, sparse);
                three_times(ex, [&] { ccomp::allreduce(ex, comm, ef, x, ws, {.at = 7}, ccomp::gather{}); });
              }) &&
         same("several tensors", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
                std::vector<ccomp::tensor_view> const tensors{{x.first(1), 1}, {x.subspan(1, 3000), 2}};
                ccomp::allreduce(ex, comm, c, tensors, ws, {.at = 7}, ccomp::two_shot{});
              }) &&
         same("allgather", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto y, auto& ws) { ccomp::allgather(ex, comm, c, x, y, ws); }) &&
         same("reduce_scatter", gpu, nccl,
              [&](auto const& ex, auto& comm, auto x, auto y, auto& ws) {
                ccomp::reduce_scatter(ex, comm, c, x.first(chunk * static_cast<std::size_t>(comm.size())),
                                      y.first(chunk), ws);
              }) &&
         same("broadcast", gpu, nccl, [&](auto const& ex, auto& comm, auto x, auto, auto& ws) {
           ccomp::broadcast(ex, comm, c, x, comm.size() - 1, ws);
         });
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
    bool const ok = all_collectives(ex, comm);
    comm.finalize();
    if (ok) std::printf("ok: rank %d of %d on device %d, NCCL %d\n", rank, ranks, device, version);
    return ok ? 0 : 1;
  } catch (std::exception const& e) {
    std::printf("rank %d: %s\n", rank, e.what());
    return 1;
  }
}
