// Checksums and weights on GPUs: the host's bits, and what was changed on its way is found before it is used.
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.cuh>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ccomp;
using support::device_array;
using support::own_stream;
using support::same_bits;

namespace checksums {
namespace {

/// What every rank has after two calls, host memory and device memory.
struct both {
  support::per_rank<float> host, gpu;
};
template <class C, class How> both after(C const& c, allreduce_options options, bool checked, How how) {
  constexpr int ranks = 3;
  constexpr std::size_t n = 5003;
  auto const in = support::gradients(ranks, n);
  both all{in, in};
  thread_group group(ranks);
  group.use_checksums(checked);
  auto const run = [&](auto const& f) {
    group.run([&](thread_communicator& comm) {
      auto own = options;
      if (own.weight) own.weight = *own.weight + static_cast<float>(comm.rank());
      for (std::uint64_t at = 0; at < 2; ++at) {
        own.at = at;
        f(comm, own, static_cast<std::size_t>(comm.rank()));
      }
    });
  };
  run([&](thread_communicator& comm, allreduce_options const& o, std::size_t r) {
    workspace<host_exec> ws;
    allreduce(host_exec{1}, comm, c, all.host[r], ws, o, how);
  });
  run([&](thread_communicator& comm, allreduce_options const& o, std::size_t r) {
    own_stream const stream;
    cuda_exec const ex(stream.get());
    workspace ws{ex};
    device_array<float> const x(all.gpu[r]);
    allreduce(ex, comm, c, x.span(), ws, o, how);
    ws.check();
    all.gpu[r] = x.values();
  });
  return all;
}

/// A rank that gets a wrong bit, once: in the middle of what it receives.
class bent {
 public:
  explicit bent(thread_communicator& inner) : inner_(inner) {}
  [[nodiscard]] int rank() const { return inner_.rank(); }
  [[nodiscard]] int size() const { return inner_.size(); }
  [[nodiscard]] bool checksums() const { return inner_.checksums(); }
  void agree(cuda_exec const& ex, std::uint64_t number, void const* what, std::string (*describe)(void const*)) {
    inner_.agree(ex, number, what, describe);
  }
  void all_gather(cuda_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner_.all_gather(ex, send, receive);
    if (rank() != 0) return;
    ex.synchronize();
    std::byte value{};
    std::byte* const place = receive.data() + receive.size() - send.size() / 2;
    ex.copy_to_host(&value, place, 1);
    value ^= std::byte{4};
    REQUIRE(cudaMemcpyAsync(place, &value, 1, cudaMemcpyHostToDevice, ex.stream()) == cudaSuccess);
    ex.synchronize();
  }

 private:
  thread_communicator& inner_;
};

}  // namespace

TEST_CASE("cuda: with checksums, and with weights, the bits are the host's") {
  auto const check = [](auto const& c, allreduce_options const& o, auto how) {
    auto const with = after(c, o, true, how), without = after(c, o, false, how);
    CHECK(same_bits(with.gpu, with.host));
    CHECK(same_bits(with.gpu, without.gpu));
  };
  uniform_quantize<8> const c{};
  check(c, {}, gather{});
  check(c, {}, two_shot{});
  check(c, {}, ring{});
  check(c, {.weight = 0.5f}, gather{});
  check(qsgd<8>{}, {.op = reduction::sum, .weight = 0.5f}, two_shot{});
}

TEST_CASE("cuda: reduce_scatter with weights has the host's bits and leaves its input") {
  constexpr int ranks = 2;
  constexpr std::size_t n = 700;
  auto const in = support::gradients(ranks, ranks * n);
  support::per_rank<float> host(ranks, std::vector<float>(n)), gpu = host;
  thread_group(ranks).run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    allreduce_options const o{.weight = 1.0f + 2.0f * static_cast<float>(r)};
    uniform_quantize<8> const c{};
    workspace<host_exec> on_host;
    reduce_scatter(host_exec{1}, comm, c, in[r], host[r], on_host, o);
    own_stream const stream;
    cuda_exec const ex(stream.get());
    workspace ws{ex};
    device_array<float> const x(in[r]), chunk(host[r]);
    reduce_scatter(ex, comm, c, x.span(), chunk.span(), ws, o);
    ws.check();
    gpu[r] = chunk.values();
    CHECK(same_bits(x.values(), in[r]));
  });
  CHECK(same_bits(gpu, host));
}

TEST_CASE("cuda: a bit that is changed on its way is found, and nothing of it is used") {
  std::string said;
  std::vector<float> left;
  thread_group group(2);
  group.use_checksums();
  auto const in = support::gradients(2, 3000);
  group.run([&](thread_communicator& comm) {
    bent ranks(comm);
    own_stream const stream;
    cuda_exec const ex(stream.get());
    workspace ws{ex};
    device_array<float> const x(in[static_cast<std::size_t>(comm.rank())]);
    try {
      allreduce(ex, ranks, uniform_quantize<8>{}, x.span(), ws, {}, gather{});
    } catch (payload_error const& e) {
      said = e.what();
      left = x.values();
    }
  });
  CHECK(support::has(said, "allreduce: rank 1 sent bytes that were changed on their way"));
  CHECK(same_bits(left, in[0]));
}

TEST_CASE("cuda: a graph cannot wait for checksums") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  struct checked_self {
    [[nodiscard]] static int rank() { return 0; }
    [[nodiscard]] static int size() { return 1; }
    [[nodiscard]] static bool checksums() { return true; }
    static void all_gather(cuda_exec const&, std::span<std::byte const>, std::span<std::byte>) {}
  } ranks;
  workspace ws{ex};
  device_array<float> const x(std::vector<float>(100, 1.0f));
  static_cast<void>(ws.reserve(1 << 16, "test"));
  static_cast<void>(ws.status());
  ex.synchronize();
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK_THROWS_WITH_AS(allreduce(ex, ranks, uniform_quantize<8>{}, x.span(), ws, {}, gather{}),
                       doctest::Contains("the stream records a graph, in which no call can wait for the checksums"),
                       invalid_argument);
  REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
}

}  // namespace checksums
