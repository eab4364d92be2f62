// The simulated CUDA runtime: what runs when, what it refuses, and the hooks that other tests rely on.
#include "sim/cuda/cudart_sim.hpp"
#include "support/cuda/device_array.hpp"
#include "support/cuda/small_kernels.hpp"

#include <ccomp/engine/cuda/launch.cuh>
#include <ccomp/exec/cuda.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace ccomp;
using detail::launch;
using support::add;
using support::device_array;
using support::multiply;
using support::ok;

namespace {

/// The call is refused, and cudaGetLastError says so once.
void refused(cudaError_t got, cudaError_t expected) {
  CHECK(std::string(cudaGetErrorName(got)) == cudaGetErrorName(expected));
  CHECK(cudaPeekAtLastError() == expected);
  CHECK(cudaGetLastError() == expected);
  CHECK(cudaGetLastError() == cudaSuccess);
}

struct stream {
  cudaStream_t handle = nullptr;
  explicit stream(unsigned flags = cudaStreamNonBlocking) { ok(cudaStreamCreateWithFlags(&handle, flags)); }
  ~stream() {
    static_cast<void>(cudaStreamSynchronize(handle));
    static_cast<void>(cudaStreamDestroy(handle));
    static_cast<void>(cudaGetLastError());
  }
  stream(stream const&) = delete;
  stream& operator=(stream const&) = delete;
};

struct event {
  cudaEvent_t handle = nullptr;
  explicit event(unsigned flags = cudaEventDisableTiming) { ok(cudaEventCreateWithFlags(&handle, flags)); }
  ~event() { static_cast<void>(cudaEventDestroy(handle)); }
  event(event const&) = delete;
  event& operator=(event const&) = delete;
};

void add_on(cudaStream_t s, int* to, int v) { launch(cuda_exec(s), "add", add, 1, 1, to, v); }
void multiply_on(cudaStream_t s, int* to, int v) { launch(cuda_exec(s), "multiply", multiply, 1, 1, to, v); }

int value_of(device_array<int> const& a) { return *a.data(); }  // no synchronisation, unlike values()

std::size_t syncs() { return cudart_sim::count().host_syncs; }

}  // namespace

TEST_CASE("streams: nothing runs before somebody waits, then in order") {
  stream const a, b;
  device_array<int> const x(1), y(1);
  ok(cudaDeviceSynchronize());
  add_on(a.handle, x.data(), 2);
  multiply_on(a.handle, x.data(), 5);
  add_on(b.handle, y.data(), 1);
  CHECK(value_of(x) == 0);
  ok(cudaStreamSynchronize(a.handle));
  CHECK(value_of(x) == 10);
  CHECK(value_of(y) == 0);
  ok(cudaDeviceSynchronize());
  CHECK(value_of(y) == 1);
}

TEST_CASE("streams: polling makes progress, a call at a time") {
  stream const s;
  device_array<int> const x(1);
  ok(cudaStreamQuery(s.handle));
  add_on(s.handle, x.data(), 1);
  auto const before = syncs();
  refused(cudaStreamQuery(s.handle), cudaErrorNotReady);
  ok(cudaStreamQuery(s.handle));
  CHECK(syncs() == before);
}

TEST_CASE("events: a stream waits for the point that was recorded, not for what follows") {
  stream const a, b;
  event const e;
  device_array<int> const x(1), later(1);
  ok(cudaDeviceSynchronize());
  ok(cudaEventQuery(e.handle));  // never recorded
  add_on(a.handle, x.data(), 3);
  ok(cudaEventRecord(e.handle, a.handle));
  add_on(a.handle, later.data(), 1);
  ok(cudaStreamWaitEvent(b.handle, e.handle, 0));
  multiply_on(b.handle, x.data(), 7);
  ok(cudaStreamSynchronize(b.handle));
  CHECK(value_of(x) == 21);
  CHECK(value_of(later) == 0);
  ok(cudaEventQuery(e.handle));

  ok(cudaEventRecord(e.handle, a.handle));  // the wait before does not see this one
  refused(cudaEventQuery(e.handle), cudaErrorNotReady);
  ok(cudaEventSynchronize(e.handle));
  CHECK(value_of(later) == 1);
}

TEST_CASE("events: times") {
  stream const s;
  event const first(cudaEventDefault), second(cudaEventDefault), silent;
  device_array<int> const x(1);
  ok(cudaEventRecord(first.handle, s.handle));
  add_on(s.handle, x.data(), 1);
  ok(cudaEventRecord(second.handle, s.handle));
  ok(cudaEventRecord(silent.handle, s.handle));
  float time = -1;
  refused(cudaEventElapsedTime(&time, first.handle, second.handle), cudaErrorNotReady);
  ok(cudaEventSynchronize(second.handle));
  ok(cudaEventElapsedTime(&time, first.handle, second.handle));
  CHECK(time >= 0);
  refused(cudaEventElapsedTime(&time, first.handle, silent.handle), cudaErrorInvalidResourceHandle);
}

TEST_CASE("the legacy stream and blocking streams wait for each other; non-blocking ones do not") {
  device_array<int> const x(1), free_running(1);
  stream const blocking(cudaStreamDefault), other;
  ok(cudaDeviceSynchronize());
  add_on(blocking.handle, x.data(), 2);
  add_on(other.handle, free_running.data(), 1);
  multiply_on(nullptr, x.data(), 3);
  add_on(blocking.handle, x.data(), 1);
  CHECK(value_of(x) == 0);
  ok(cudaStreamSynchronize(blocking.handle));
  CHECK(value_of(x) == 7);
  CHECK(value_of(free_running) == 0);
  add_on(blocking.handle, x.data(), 1);
  multiply_on(nullptr, x.data(), 2);
  ok(cudaStreamSynchronize(nullptr));
  CHECK(value_of(x) == 16);
}

TEST_CASE("a destroyed stream's work still runs") {
  device_array<int> const x(1);
  ok(cudaDeviceSynchronize());
  cudaStream_t s = nullptr;
  ok(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, -1));
  int priority = 0;
  ok(cudaStreamGetPriority(s, &priority));
  CHECK(priority == -1);
  add_on(s, x.data(), 4);
  ok(cudaStreamDestroy(s));
  CHECK(value_of(x) == 0);
  ok(cudaDeviceSynchronize());
  CHECK(value_of(x) == 4);
  CHECK(cudart_sim::pending() == 0);
}

TEST_CASE("host functions run in the stream's order") {
  stream const s;
  device_array<int> const x(1);
  ok(cudaDeviceSynchronize());
  std::pair<int*, int> seen{x.data(), -1};
  add_on(s.handle, x.data(), 6);
  auto const look = [](void* p) {
    auto& [from, to] = *static_cast<std::pair<int*, int>*>(p);
    to = *from;
  };
  ok(cudaLaunchHostFunc(s.handle, look, &seen));
  add_on(s.handle, x.data(), 6);
  CHECK(seen.second == -1);
  ok(cudaStreamSynchronize(s.handle));
  CHECK(seen.second == 6);
}

TEST_CASE("memory: kinds, sizes, counts") {
  auto const allocations = cudart_sim::count().allocations;
  auto const live = cudart_sim::live_allocations();
  auto const bytes = cudart_sim::live_bytes();
  void *device = nullptr, *pinned = nullptr, *managed = nullptr, *none = &none;
  ok(cudaMalloc(&device, 100));
  ok(cudaMallocHost(&pinned, 50));
  ok(cudaMallocManaged(&managed, 10, cudaMemAttachGlobal));
  ok(cudaMalloc(&none, 0));
  CHECK(none == nullptr);
  CHECK(cudart_sim::count().allocations == allocations + 3);
  CHECK(cudart_sim::live_allocations() == live + 3);
  CHECK(cudart_sim::live_bytes() == bytes + 160);
  CHECK(*static_cast<unsigned char*>(device) == 0xff);

  int here = 0;
  auto const type_of = [](void const* p) {
    cudaPointerAttributes found{};
    ok(cudaPointerGetAttributes(&found, p));
    return found.type;
  };
  CHECK(type_of(device) == cudaMemoryTypeDevice);
  CHECK(type_of(static_cast<char*>(device) + 99) == cudaMemoryTypeDevice);
  CHECK(type_of(pinned) == cudaMemoryTypeHost);
  CHECK(type_of(managed) == cudaMemoryTypeManaged);
  CHECK(type_of(&here) == cudaMemoryTypeUnregistered);
  ok(cudaHostRegister(&here, sizeof here, 0));
  CHECK(type_of(&here) == cudaMemoryTypeHost);
  ok(cudaHostUnregister(&here));
  CHECK(type_of(&here) == cudaMemoryTypeUnregistered);

  CHECK_NOTHROW(detail::expect_device_memory(cuda_exec(), device, "test", "data"));
  CHECK_THROWS_WITH_AS(detail::expect_device_memory(cuda_exec(), pinned, "test", "data"),
                       doctest::Contains("got pinned host memory"), invalid_argument);
  CHECK_THROWS_WITH_AS(detail::expect_device_memory(cuda_exec(), &here, "test", "data"),
                       doctest::Contains("got pageable host memory"), invalid_argument);

  refused(cudaFree(pinned), cudaErrorInvalidValue);
  refused(cudaFreeHost(device), cudaErrorInvalidValue);
  refused(cudaFree(&here), cudaErrorInvalidValue);
  ok(cudaFree(device));
  refused(cudaFree(device), cudaErrorInvalidValue);
  ok(cudaFreeHost(pinned));
  ok(cudaFree(managed));
  ok(cudaFree(nullptr));
  CHECK(cudart_sim::live_allocations() == live);
}

TEST_CASE("memory in the stream's order is freed when the stream has come so far") {
  stream const s;
  cuda_exec const ex(s.handle);
  auto const live = cudart_sim::live_allocations();
  void* const p = ex.allocate(64);
  add_on(s.handle, static_cast<int*>(p), 1);
  ex.deallocate(p);
  CHECK(cudart_sim::live_allocations() == live + 1);
  refused(cudaFreeAsync(p, s.handle), cudaErrorInvalidValue);
  refused(cudaMemsetAsync(p, 0, 64, s.handle), cudaErrorInvalidValue);
  ex.synchronize();
  CHECK(cudart_sim::live_allocations() == live);
}

TEST_CASE("copies: in order, in the right direction, within their memory") {
  stream const s;
  device_array<int> const x(std::vector<int>{1, 2, 3, 4, 5, 6});
  ok(cudaDeviceSynchronize());
  void* got = nullptr;
  ok(cudaMallocHost(&got, 6 * sizeof(int)));
  auto* const pinned = static_cast<int*>(got);
  auto const before = syncs();
  ok(cudaMemsetAsync(x.data() + 1, 0, sizeof(int), s.handle));
  ok(cudaMemcpyAsync(pinned, x.data(), 6 * sizeof(int), cudaMemcpyDeviceToHost, s.handle));
  CHECK(syncs() == before);
  CHECK(pinned[0] == -1);
  ok(cudaStreamSynchronize(s.handle));
  CHECK(pinned[1] == 0);
  CHECK(pinned[5] == 6);

  // Columns 1 and 2 of 3.
  ok(cudaMemcpy2DAsync(pinned, 2 * sizeof(int), x.data() + 1, 3 * sizeof(int), 2 * sizeof(int), 2, cudaMemcpyDefault,
                       s.handle));
  ok(cudaStreamSynchronize(s.handle));
  CHECK(std::vector<int>(pinned, pinned + 4) == std::vector<int>{0, 3, 5, 6});

  auto const size = 6 * sizeof(int);
  std::array<int, 6> pageable{};
  auto const counted = syncs();
  ok(cudaMemcpyAsync(pageable.data(), x.data(), size, cudaMemcpyDeviceToHost, s.handle));
  CHECK(syncs() == counted + 1);  // the runtime may wait here
  ok(cudaStreamSynchronize(s.handle));
  CHECK(pageable[5] == 6);

  refused(cudaMemcpyAsync(pinned, x.data(), size, cudaMemcpyHostToDevice, s.handle), cudaErrorInvalidValue);
  refused(cudaMemcpyAsync(x.data(), x.data(), size, cudaMemcpyDeviceToHost, s.handle), cudaErrorInvalidValue);
  refused(cudaMemcpyAsync(pinned, x.data() + 1, size, cudaMemcpyDeviceToHost, s.handle), cudaErrorInvalidValue);
  refused(cudaMemsetAsync(x.data() + 1, 0, size, s.handle), cudaErrorInvalidValue);
  refused(cudaMemsetAsync(pageable.data(), 0, size, s.handle), cudaErrorInvalidValue);
  CHECK(cudart_sim::pending() == 0);
  ok(cudaFreeHost(pinned));
}

TEST_CASE("hooks: the next call of a name fails, once, and does nothing") {
  device_array<int> const x(1);
  ok(cudaDeviceSynchronize());
  auto const launches = cudart_sim::count().launches;
  cudart_sim::fail_next("cudaLaunchKernel", cudaErrorLaunchOutOfResources);
  CHECK_THROWS_WITH_AS(add_on(nullptr, x.data(), 1), doctest::Contains("add: too many resources requested for launch"),
                       cuda_error);
  CHECK(cudart_sim::count().launches == launches);
  CHECK(cudart_sim::pending() == 0);
  add_on(nullptr, x.data(), 1);
  CHECK(x.values()[0] == 1);
  void* p = nullptr;
  cudart_sim::fail_next("cudaMalloc", cudaErrorMemoryAllocation);
  cudart_sim::fail_next("cudaMalloc", cudaErrorUnknown);
  refused(cudaMalloc(&p, 1), cudaErrorMemoryAllocation);
  refused(cudaMalloc(&p, 1), cudaErrorUnknown);
  ok(cudaMalloc(&p, 1));
  ok(cudaFree(p));
}

TEST_CASE("hooks: waiting for a stream that this thread holds is reported, other threads wait") {
  stream const a, b;
  event const e;
  device_array<int> const x(1);
  ok(cudaDeviceSynchronize());
  cudart_sim::hold_stream hold(a.handle);
  add_on(a.handle, x.data(), 1);
  ok(cudaEventRecord(e.handle, a.handle));
  ok(cudaStreamWaitEvent(b.handle, e.handle, 0));
  auto const before = syncs();
  refused(cudaStreamSynchronize(a.handle), cudaErrorLaunchTimeout);
  refused(cudaEventSynchronize(e.handle), cudaErrorLaunchTimeout);
  refused(cudaStreamSynchronize(b.handle), cudaErrorLaunchTimeout);
  refused(cudaDeviceSynchronize(), cudaErrorLaunchTimeout);
  refused(cudaStreamQuery(a.handle), cudaErrorNotReady);
  CHECK(syncs() == before + 4);
  CHECK(value_of(x) == 0);
  auto waits = std::async(std::launch::async, [&] { return cudaStreamSynchronize(b.handle); });
  hold.release();
  CHECK(waits.get() == cudaSuccess);
  CHECK(value_of(x) == 1);
}

TEST_CASE("devices: memory, streams and events belong to one") {
  cudart_sim::set_device_count(2);
  int n = 0;
  ok(cudaGetDeviceCount(&n));
  CHECK(n == 2);
  stream const first;
  event const mine;
  device_array<int> const x(1);
  ok(cudaDeviceSynchronize());
  refused(cudaSetDevice(2), cudaErrorInvalidDevice);
  ok(cudaSetDevice(1));
  {
    stream const second;
    cuda_exec const ex(second.handle);
    CHECK(ex.device() == 1);
#if CUDART_VERSION >= 12080
    int device = -1;
    ok(cudaStreamGetDevice(first.handle, &device));
    CHECK(device == 0);
#endif
    CHECK_THROWS_WITH_AS(detail::expect_device_memory(ex, x.data(), "test", "data"), doctest::Contains("device 0"),
                         invalid_argument);
    CHECK_THROWS_AS(add_on(first.handle, x.data(), 1), cuda_error);
    refused(cudaEventRecord(mine.handle, second.handle), cudaErrorInvalidResourceHandle);
    ok(cudaMemsetAsync(x.data(), 0, sizeof(int), first.handle));  // copies may go anywhere
    auto const fresh = std::async(std::launch::async, [] { return detail::current_device(); });
    CHECK(const_cast<std::future<int>&>(fresh).get() == 0);  // every thread begins with device 0
  }
  ok(cudaSetDevice(0));
  cudart_sim::set_device_count(0);
  CHECK_THROWS_WITH_AS(cuda_exec{}, doctest::Contains("no CUDA-capable device is detected"), cuda_error);
  cudart_sim::set_device_count(1);
}

TEST_CASE("devices: what they say of themselves") {
  cudaDeviceProp p{};
  ok(cudaGetDeviceProperties(&p, 0));
  CHECK(p.multiProcessorCount == 132);
  CHECK(p.sharedMemPerBlock == 48 * 1024);
  CHECK(p.warpSize == 32);
  int value = 0;
  ok(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  CHECK(value == 227 * 1024);
  ok(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, reinterpret_cast<void const*>(&add), 256, 0));
  CHECK(value == 8);
  CHECK(std::string(cudaGetErrorString(static_cast<cudaError_t>(12345))) == "unrecognized error code");
}

TEST_CASE("threads: one waits for an event of another's stream and runs that stream's work itself") {
  device_array<int> const x(1);
  stream const theirs;
  event const e;
  ok(cudaDeviceSynchronize());
  std::thread([&] {
    add_on(theirs.handle, x.data(), 9);
    ok(cudaEventRecord(e.handle, theirs.handle));
  }).join();
  stream const mine;
  ok(cudaStreamWaitEvent(mine.handle, e.handle, 0));
  multiply_on(mine.handle, x.data(), 2);
  ok(cudaStreamSynchronize(mine.handle));
  CHECK(value_of(x) == 18);
}

TEST_CASE("threads: many wait for the same streams at once") {
  device_array<int> const x(1);
  stream const a, b;
  event const e;
  ok(cudaDeviceSynchronize());
  for (int i = 0; i < 50; ++i) add_on(a.handle, x.data(), 1);
  ok(cudaEventRecord(e.handle, a.handle));
  ok(cudaStreamWaitEvent(b.handle, e.handle, 0));
  multiply_on(b.handle, x.data(), 2);
  std::vector<std::future<cudaError_t>> waits;
  for (int i = 0; i < 4; ++i)
    waits.push_back(
        std::async(std::launch::async, [&, i] { return cudaStreamSynchronize(i % 2 ? a.handle : b.handle); }));
  for (auto& w : waits) CHECK(w.get() == cudaSuccess);
  CHECK(value_of(x) == 100);
}
