// Threads with device memory: an exchange that does not fit.
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/comm/self.hpp>
#include <ccomp/comm/thread.cuh>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ccomp;
using support::device_array;
using support::has;

static_assert(can_exchange<thread_communicator, cuda_exec> && !can_exchange<self_communicator, cuda_exec>);

namespace {

std::span<std::byte> bytes_of(device_array<std::byte> const& x) { return {x.data(), x.size()}; }

template <class F> void on_devices(int ranks, int devices, F const& f) {
  thread_group(ranks, std::chrono::minutes(1)).run([&](thread_communicator& comm) {
    detail::check_cuda(cudaSetDevice(comm.rank() % devices), "cudaSetDevice");
    support::own_stream const stream;
    f(comm, cuda_exec(stream.get()));
  });
}
/// What each rank was told; empty: nothing.
template <class Error, class F> std::vector<std::string> told(int ranks, F const& f) {
  std::vector<std::string> said(static_cast<std::size_t>(ranks));
  on_devices(ranks, 1, [&](thread_communicator& comm, cuda_exec const& ex) {
    try {
      f(comm, ex);
    } catch (Error const& e) {
      said[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    ex.synchronize();
  });
  return said;
}

}  // namespace

TEST_CASE("cuda exchange: what does not fit is an error on every rank") {
  support::watchdog const guard("cuda exchange: mismatch");
  auto const sizes = told<rank_mismatch>(3, [](thread_communicator& comm, cuda_exec const& ex) {
    int const r = comm.rank();
    device_array<std::byte> const out(60), in(60);
    comm.exchange(ex, bytes_of(out).first(r == 1 ? 30 : 60), (r + 1) % 3, bytes_of(in), (r + 2) % 3);
  });
  for (auto const& text : sizes) has(text, "rank 1 sends 30 bytes to rank 2, which expects 60");
  auto const partners = told<rank_mismatch>(3, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const out(16), in(16);
    comm.exchange(ex, bytes_of(out), 0, bytes_of(in), 0);
  });
  for (auto const& text : partners) has(text, "rank 1 sends to rank 0, which receives from rank 0");
  auto const outside = told<invalid_argument>(1, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const out(16), in(16);
    comm.exchange(ex, bytes_of(out), 1, bytes_of(in), 0);
  });
  has(outside[0], "the receiver is rank 1 of a group of 1");
  auto const host = told<invalid_argument>(1, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const in(16);
    std::vector<std::byte> const out(16);
    comm.exchange(ex, out, 0, bytes_of(in), 0);
  });
  has(host[0], "thread_communicator::exchange: send must be device memory");
}
