// What a simulator may take for right and a GPU still do otherwise: each case says what is right on both. The times, and
// what is asked while a kernel runs, are for GPUs alone.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#if defined(__CUDACC__)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace ccomp;
using support::device_array;
using support::own_stream;

namespace {

#if defined(__CUDACC__)
constexpr bool on_hardware = true;
#else
constexpr bool on_hardware = false;
#endif

using clock = std::chrono::steady_clock;
double milliseconds_since(clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(clock::now() - begin).count();
}

/// Rank r's values are 1 + r, but: a NaN on rank 0, and Inf - Inf between ranks 0 and 1.
std::vector<float> with_nan(int rank, std::size_t n) {
  std::vector<float> x(n, 1.0f + static_cast<float>(rank));
  if (rank == 0) x[5] = support::quiet_nan;
  x[6] = rank == 0 ? support::inf : -support::inf;
  return x;
}
std::vector<std::uint32_t> bits_of(std::vector<float> const& x) {
  std::vector<std::uint32_t> bits(x.size());
  std::memcpy(bits.data(), x.data(), x.size() * sizeof(float));
  return bits;
}
std::vector<std::uint32_t> in_flight_on_host(reduction op, std::size_t n) {
  std::vector<float> first;
  thread_group group(2);
  group.run([&](thread_communicator& comm) {
    host_exec const ex{1};
    workspace ws{ex};
    auto x = with_nan(comm.rank(), n);
    allreduce(ex, comm, cast<float16>{}, x, ws, {.op = op, .at = 0}, in_flight{});
    if (comm.rank() == 0) first = x;
  });
  return bits_of(first);
}
std::vector<std::uint32_t> in_flight_on_device(reduction op, std::size_t n) {
  std::vector<float> first;
  thread_group group(2);
  group.run([&](thread_communicator& comm) {
    own_stream const stream;
    cuda_exec const ex(stream.get());
    workspace ws{ex};
    device_array<float> const x(with_nan(comm.rank(), n));
    allreduce(ex, comm, cast<float16>{}, x.span(), ws, {.op = op, .at = 0}, in_flight{});
    ex.synchronize();
    if (comm.rank() == 0) first = x.values();
  });
  return bits_of(first);
}

/// Reports, and goes on for a while: `ticks` of the GPU's clock.
__global__ void report_and_go_on(detail::device_status* status, long long ticks) {
  detail::report_bad_payload(status);
  detail::report_other_call(status, {3, 11, 12, 13, 14});
#if defined(__CUDA_ARCH__)
  auto const begin = clock64();
  while (clock64() - begin < ticks) {
  }
#else
  static_cast<void>(ticks);
#endif
}
void report(cuda_exec const& ex, detail::device_status* status, long long ticks, unsigned blocks = 1) {
  detail::launch(ex, "report_and_go_on", report_and_go_on, dim3(blocks), 1, status, ticks);
}
bool is_whole(detail::other_call_report const& r) {
  return r.rank == 3 && r.fingerprint == 11 && r.sequence == 12 && r.own_fingerprint == 13 && r.own_sequence == 14;
}

/// An encode that says whether it threw, and what.
class coded_tensor {
 public:
  [[nodiscard]] std::string encode_again() {
    try {
      encode(ex_, cast<float16>{}, std::span<float const>(x_.span()), payload_.span(), ws_, {.at = 0});
    } catch (error const& e) {
      return e.what();
    }
    return "";
  }

 private:
  cuda_exec const ex_{};
  workspace<cuda_exec> ws_{ex_};
  device_array<float> const x_{1000};
  device_array<std::byte> const payload_{payload_bytes(cast<float16>{}, 1000)};
};

}  // namespace

TEST_CASE("cuda hardware: NaN of a sum in flight has the host's bits") {
  // A GPU's product of a NaN is 0x7fffffff; float16 in flight is scaled back by a product.
  for (auto const op : {reduction::sum, reduction::mean}) {
    auto const on_host = in_flight_on_host(op, 1000), on_device = in_flight_on_device(op, 1000);
    CHECK(on_device == on_host);
    CHECK(on_device[5] == 0x7fc00000u);
    CHECK(on_device[6] == 0x7fc00000u);
    CHECK(on_device[7] == on_host[7]);
  }
}

TEST_CASE("cuda hardware: a payload of bad indices alone is reported once, and costs no more than a good one") {
  // A report crosses the bus: one for each index would take seconds.
  std::size_t const n = std::size_t{1} << (on_hardware ? 24 : 13);
  top_k const c{.ratio = 0.25, .indices = index_coding::raw};
  cuda_exec const ex;
  workspace ws{ex};
  std::size_t const bytes = payload_bytes(c, n);
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>((i * 2654435761u) >> 8 & 0xffff) - 32768.0f;
  device_array<float> const x(values), y(n);
  device_array<std::byte> const payload(bytes);
  encode(ex, c, std::span<float const>(x.span()), payload.span(), ws, {.at = 0});
  auto const time_of_decode = [&] {
    ex.synchronize();
    auto const begin = clock::now();
    decode(ex, c, std::span<std::byte const>(payload.span()), y.span(), ws, {.at = 0});
    ex.synchronize();
    return milliseconds_since(begin);
  };
  time_of_decode();  // grows the workspace
  double const good = time_of_decode();
  CHECK_NOTHROW(ws.check());
  REQUIRE(cudaMemset(payload.data(), 0xff, n) == cudaSuccess);  // k indices are n bytes
  double const bad = time_of_decode();
  CHECK_THROWS_AS(ws.check(), payload_error);
  CHECK_NOTHROW(ws.check());
  if (on_hardware) {
    std::printf("note: %zu bad indices take %.2f ms to decode, as many good ones %.2f ms\n", n / 4, bad, good);
    CHECK(bad < 20 * good + 10);
  }
}

TEST_CASE("cuda hardware: a report arrives whole, once, and while the kernel still runs") {
  auto* const status = detail::status_pool::instance().take();
  own_stream const stream;
  cuda_exec const ex(stream.get());
  for (int round = 0; round < 3; ++round) {
    report(ex, status, 1'000'000'000ll);  // half a second
    auto const begin = clock::now();
    std::optional<detail::other_call_report> seen;
    if (on_hardware) {
      while (!seen && cudaStreamQuery(stream.get()) == cudaErrorNotReady) seen = status->take_other_call();
      CHECK_MESSAGE(seen.has_value(), "no report arrived before the kernel's end");
      CHECK(milliseconds_since(begin) < 400);
    }
    ex.synchronize();
    if (!seen) seen = status->take_other_call();
    REQUIRE(seen.has_value());
    CHECK(is_whole(*seen));
    CHECK(status->take_bad_payload());
    CHECK_FALSE(status->take_other_call().has_value());
    CHECK_FALSE(status->take_bad_payload());
  }
  static_cast<void>(cudaGetLastError());  // the polling's
}

TEST_CASE("cuda hardware: reports that the host takes while others arrive are not seen twice") {
  auto* const status = detail::status_pool::instance().take();
  own_stream const stream;
  cuda_exec const ex(stream.get());
  unsigned const blocks = on_hardware ? 10000 : 20;
  report(ex, status, on_hardware ? 2000 : 0, blocks);
  unsigned taken = 0;
  auto const take = [&] {
    if (auto const seen = status->take_other_call()) {
      CHECK(is_whole(*seen));
      ++taken;
    }
    static_cast<void>(status->take_bad_payload());
  };
  while (on_hardware && cudaStreamQuery(stream.get()) == cudaErrorNotReady) take();
  ex.synchronize();
  take();
  CHECK((taken >= 1 && taken <= blocks));
  CHECK_FALSE(status->take_other_call().has_value());
  CHECK_FALSE(status->take_bad_payload());
  static_cast<void>(cudaGetLastError());
}

TEST_CASE("cuda hardware: a call is not blamed for the caller's polling, nor for a call of his that failed") {
  coded_tensor tensor;
  CHECK(tensor.encode_again() == "");
  own_stream const busy;
  {
    device_array<int> const word(1);
    cudart_sim::hold_stream const hold(busy.get());
    REQUIRE(cudaMemsetAsync(word.data(), 0, sizeof(int), busy.get()) == cudaSuccess);
    CHECK(cudaStreamQuery(busy.get()) == cudaErrorNotReady);
    CHECK(tensor.encode_again() == "");
  }
  REQUIRE(cudaStreamSynchronize(busy.get()) == cudaSuccess);
  static_cast<void>(cudaGetLastError());
  CHECK(cudaSetDevice(1 << 20) != cudaSuccess);
  CHECK(tensor.encode_again() == "");
  static_cast<void>(cudaGetLastError());
}

// On a GPU the two that may take the process with them run in one of their own.
TEST_CASE("cuda hardware alone: a workspace that outlives its stream goes quietly" * doctest::skip(on_hardware)) {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  {
    cuda_exec const ex(stream);
    workspace ws{ex};
    static_cast<void>(ws.reserve(1 << 20));
    static_cast<void>(ws.status());
    ex.synchronize();
    REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
  }
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("cuda hardware alone: a workspace of the legacy stream may go while another stream records" *
          doctest::skip(on_hardware)) {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);  // blocking: tied to the legacy stream
  auto ws = std::make_unique<workspace<cuda_exec>>(cuda_exec{});
  static_cast<void>(ws->reserve(1 << 20));
  static_cast<void>(ws->status());
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  ws.reset();
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(cudaGetLastError() == cudaSuccess);
  if (graph) CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

#if defined(__CUDACC__)

TEST_CASE("cuda hardware: destructors survive a stream that is gone, and leave another stream's recording whole") {
  int const child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(40);
    execl("/proc/self/exe", "hardware", "--test-case=cuda hardware alone:*", "--no-skip", "--no-colors", nullptr);
    _exit(127);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_MESSAGE(WIFEXITED(status), "signal ", WTERMSIG(status));
  CHECK(WEXITSTATUS(status) == 0);
}

namespace {

template <class Kernel> void check_resources(char const* name, Kernel* kernel, int threads) {
  int blocks = 0;
  cudaFuncAttributes found{};
  REQUIRE(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, 0) == cudaSuccess);
  REQUIRE(cudaFuncGetAttributes(&found, kernel) == cudaSuccess);
  std::printf("note: %s: %d registers, %d blocks of %d threads reside on a multiprocessor\n", name, found.numRegs,
              blocks, threads);
  CHECK(blocks >= 2);
  CHECK(found.localSizeBytes == 0);  // no register is spilled
}

}  // namespace

TEST_CASE("cuda hardware: two blocks of each kernel of a selection reside on a multiprocessor, without spills") {
  check_resources("histogram", detail::histogram_kernel<void>, detail::vector_threads);
  check_resources("gather", detail::gather_kernel<void>, detail::vector_threads);
  check_resources("write_selected", detail::write_selected<void>, detail::vector_threads);
  check_resources("scatter", detail::scatter_kernel<void>, detail::vector_threads);
}

#endif
