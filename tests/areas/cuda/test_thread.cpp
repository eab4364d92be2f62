// Ranks that are threads on one (simulated) GPU or on several: the host's bytes on every rank, and nobody left waiting.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/testing/check_communicator.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace ccomp;
using support::device_array;
using support::has;
using support::own_stream;
using support::per_rank;
using support::same_bits;

static_assert(can_all_gather<thread_communicator, cuda_exec> && can_all_to_all<thread_communicator, cuda_exec>);
static_assert(can_transfer<thread_communicator, cuda_exec>);
static_assert(can_all_reduce<thread_communicator, cuda_exec> && can_broadcast<thread_communicator, cuda_exec>);

namespace {

std::size_t rank_index(int r) { return static_cast<std::size_t>(r); }

template <class T> std::span<std::byte> bytes_of(device_array<T> const& x) {
  return std::as_writable_bytes(std::span(x.data(), x.size()));
}
template <class T> std::vector<T> bits(std::size_t n, std::uint64_t seed) {
  support::generator g(seed);
  std::vector<T> x(n);
  for (auto& v : x) v = support::from_pattern<T>(static_cast<std::uint32_t>(g.next()));
  return x;
}
template <class T>
requires std::integral<T>
std::vector<T> bits(std::size_t n, std::uint64_t seed) {
  support::generator g(seed);
  std::vector<T> x(n);
  for (auto& v : x) v = static_cast<T>(g.next());
  return x;
}

/// Calls f on every rank, a thread with a stream each; rank r's device is r modulo `devices`.
using rank_function = std::function<void(thread_communicator&, cuda_exec const&)>;
void on_ranks(int ranks, int devices, rank_function const& f,
              std::chrono::milliseconds patience = std::chrono::minutes(1)) {
  thread_group group(ranks, patience);
  group.run([&](thread_communicator& comm) {
    detail::check_cuda(cudaSetDevice(comm.rank() % devices), "cudaSetDevice");
    own_stream const stream;
    f(comm, cuda_exec(stream.get()));
  });
}
/// 1 to 4 ranks, all on one device, on two, or on one each, as far as there are so many.
void on_all_layouts(std::function<void(int ranks, int devices)> const& f) {
  for (int const ranks : {1, 2, 3, 4})
    for (int const devices : {1, 2, 4}) {
      if (devices > ranks || !cudart_sim::set_device_count(devices)) continue;
      CAPTURE(ranks);
      CAPTURE(devices);
      f(ranks, devices);
    }
  cudart_sim::set_device_count(1);
}

/// The message, and that every rank was told one of that type.
template <class Error> std::vector<std::string> all_throw(int ranks, rank_function const& f) {
  std::vector<std::string> said(rank_index(ranks));
  on_ranks(ranks, 1, [&](thread_communicator& comm, cuda_exec const& ex) {
    try {
      f(comm, ex);
    } catch (Error const& e) {
      said[rank_index(comm.rank())] = e.what();
    }
    ex.synchronize();
  });
  return said;
}

/// all_reduce on GPUs, twice (the second call finds its scratch), against the host's.
template <class T> void check_sum(int ranks, int devices, std::size_t n, wire_type type, wire_op op) {
  CAPTURE(n);
  per_rank<T> host, gpu(rank_index(ranks));
  for (int r = 0; r < ranks; ++r) host.push_back(bits<T>(n, 40 + rank_index(r)));
  auto const in = host;
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    for (int i = 0; i < 2; ++i) comm.all_reduce(host_exec{1}, host[rank_index(comm.rank())].data(), n, type, op);
  });
  on_ranks(ranks, devices, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<T> const x(in[rank_index(comm.rank())]);
    for (int i = 0; i < 2; ++i) comm.all_reduce(ex, x.data(), n, type, op);
    ex.synchronize();
    gpu[rank_index(comm.rank())] = x.values();
  });
  for (int r = 0; r < ranks; ++r) CHECK(same_bits(gpu[rank_index(r)], host[rank_index(r)]));
}

}  // namespace

TEST_CASE("cuda threads: what collectives rely on") {
  support::watchdog const guard("cuda threads: suite");
  on_all_layouts([](int ranks, int devices) {
    on_ranks(ranks, devices, [](thread_communicator& comm, cuda_exec const& ex) {
      auto const faults = testing::check_communicator(ex, comm);
      CHECK(faults == std::vector<std::string>{});
    });
  });
}

TEST_CASE("cuda threads: all_reduce of every wire type gives the host's bits") {
  support::watchdog const guard("cuda threads: all_reduce");
  on_all_layouts([](int ranks, int devices) {
    check_sum<float>(ranks, devices, 3001, wire_type::float32, wire_op::sum);
    check_sum<bfloat16>(ranks, devices, 1023, wire_type::bfloat16, wire_op::sum);
  });
  for (std::size_t const n : {0u, 1u, 5u, 640u}) {
    check_sum<float16>(3, 1, n, wire_type::float16, wire_op::sum);
    for (auto const op : {wire_op::sum, wire_op::max}) {
      check_sum<std::int8_t>(3, 1, n, wire_type::int8, op);
      check_sum<std::int16_t>(3, 1, n, wire_type::int16, op);
      check_sum<std::int32_t>(3, 1, n, wire_type::int32, op);
      check_sum<std::uint32_t>(3, 1, n, wire_type::uint32, op);
    }
  }
}

TEST_CASE("cuda threads: calls wait on the streams, not on the host, and allocate once") {
  support::watchdog const guard("cuda threads: asynchronous");
  int constexpr ranks = 3;
  std::size_t constexpr n = 1000;
  per_rank<float> sums(ranks);
  std::size_t allocations[2] = {}, syncs[2] = {};
  on_ranks(ranks, 1, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<float> const x(std::vector<float>(n, static_cast<float>(1 + comm.rank()))), all(n * ranks);
    comm.all_reduce(ex, x.data(), n, wire_type::float32, wire_op::sum);
    ex.synchronize();
    comm.agree(1, nullptr, nullptr);  // all are done
    auto const count = [&](std::size_t (&a)[2], std::size_t (&s)[2], int i) {
      if (comm.rank() == 0) {
        a[i] = cudart_sim::count().allocations;
        s[i] = cudart_sim::count().host_syncs;
      }
      comm.agree(1, nullptr, nullptr);
    };
    count(allocations, syncs, 0);
    cudart_sim::hold_stream held(ex.stream());
    for (int i = 0; i < 2; ++i) comm.all_reduce(ex, x.data(), n, wire_type::float32, wire_op::sum);
    comm.all_gather(ex, bytes_of(x), bytes_of(all));
    comm.broadcast(ex, bytes_of(x), 1);
    comm.agree(1, nullptr, nullptr);
    count(allocations, syncs, 1);
    held.release();
    comm.agree(1, nullptr, nullptr);
    ex.synchronize();
    sums[rank_index(comm.rank())] = all.values();
  });
  CHECK(allocations[0] == allocations[1]);
  CHECK(syncs[0] == syncs[1]);
  for (auto const& row : sums) CHECK(row == std::vector<float>(n * ranks, 54.0f));  // (1 + 2 + 3) * 3 * 3
}

TEST_CASE("cuda threads: what a rank queues after a call waits until the others have read its buffer") {
  support::watchdog const guard("cuda threads: order");
  std::vector<int> got(2);
  on_ranks(2, 1, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<int> const mine(std::vector<int>(1, 7 + comm.rank())), all(2);
    comm.all_gather(ex, bytes_of(mine), bytes_of(all));
    // Rank 1 is told to read late; by then rank 0 has long asked for its buffer to be cleared.
    detail::check_cuda(cudaMemsetAsync(mine.data(), 0, sizeof(int), ex.stream()), "cudaMemsetAsync");
    if (comm.rank() == 0) ex.synchronize();
    comm.agree(1, nullptr, nullptr);
    ex.synchronize();
    got[rank_index(comm.rank())] = all.values()[0];
  });
  CHECK(got == std::vector<int>{7, 7});
}

TEST_CASE("cuda threads: streams change between calls, and several ranks share one") {
  support::watchdog const guard("cuda threads: streams");
  per_rank<float> sums(3);
  thread_group group(3);
  group.run([&](thread_communicator& comm) {
    own_stream const a, b;
    device_array<float> const x(std::vector<float>(700, 1.0f));
    cudaStream_t const streams[] = {a.get(), b.get(), nullptr, a.get()};
    for (cudaStream_t const s : streams) {
      cuda_exec const ex(s);
      comm.all_reduce(ex, x.data(), x.size(), wire_type::float32, wire_op::sum);
      ex.synchronize();  // the caller's streams are the caller's to order
    }
    sums[rank_index(comm.rank())] = x.values();
  });
  for (auto const& row : sums) CHECK(row == std::vector<float>(700, 81.0f));
}

TEST_CASE("cuda threads: a rank that throws, is late, or disagrees leaves nobody waiting") {
  support::watchdog const guard("cuda threads: failing");
  auto const left = all_throw<communicator_error>(3, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<float> const x(100);
    if (comm.rank() == 1) throw communicator_error("this rank fails");
    comm.all_reduce(ex, x.data(), 100, wire_type::float32, wire_op::sum);
  });
  for (int const r : {0, 2}) has(left[rank_index(r)], "rank 1 has left the group");

  CHECK_THROWS_AS(on_ranks(
                      2, 1,
                      [](thread_communicator& comm, cuda_exec const& ex) {
                        device_array<float> const x(100);
                        if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
                        comm.broadcast(ex, bytes_of(x), 0);
                      },
                      std::chrono::milliseconds(30)),
                  timeout);

  auto const sizes = all_throw<rank_mismatch>(3, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const x(100), all(300);
    std::size_t const n = comm.rank() == 2 ? 99 : 100;
    comm.all_gather(ex, bytes_of(x).first(n), bytes_of(all).first(3 * n));
  });
  has(sizes[0], "rank 2 brought 99 bytes, rank 0 100");
  has(sizes[1], "rank 2 brought 99 bytes, rank 1 100");
  has(sizes[2], "rank 0 brought 100 bytes, rank 2 99");

  auto const kinds = all_throw<rank_mismatch>(2, [](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const x(64);
    std::vector<std::byte> host(64);
    if (comm.rank() == 0)
      comm.broadcast(ex, bytes_of(x), 0);
    else
      comm.broadcast(host_exec{1}, host, 0);
  });
  for (auto const& text : kinds) has(text, "rank 1 brought host memory, rank 0 device memory");
}

TEST_CASE("cuda threads: messages of two ranks, with a partner that fails, leaves, or brings other memory") {
  support::watchdog const guard("cuda threads: transfer");
  auto const pair = [](thread_communicator& comm, cuda_exec const& ex, std::span<std::byte> x) {
    outgoing_message const out{1, x};
    incoming_message const in{0, x};
    comm.transfer(ex, {&out, comm.rank() == 0 ? 1u : 0u}, {&in, comm.rank() == 1 ? 1u : 0u});
  };
  auto const left = all_throw<communicator_error>(3, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const x(100);
    if (comm.rank() == 0) pair(comm, ex, bytes_of(x));
  });
  has(left[0], "rank 1 has left the group");

  auto const sizes = all_throw<rank_mismatch>(3, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const x(100);
    if (comm.rank() < 2) pair(comm, ex, bytes_of(x).first(comm.rank() == 0 ? 99 : 100));
  });
  for (int const r : {0, 1}) has(sizes[rank_index(r)], "rank 0 sends 99 bytes to rank 1, which expects 100");

  auto const kinds = all_throw<rank_mismatch>(2, [&](thread_communicator& comm, cuda_exec const& ex) {
    device_array<std::byte> const x(64);
    std::vector<std::byte> host(64);
    if (comm.rank() == 0) return pair(comm, ex, bytes_of(x));
    incoming_message const in{0, host};
    comm.transfer(host_exec{1}, {}, {&in, 1});
  });
  for (auto const& text : kinds) has(text, "rank 1 brought host memory, rank 0 device memory");

  auto const wrong = all_throw<invalid_argument>(1, [](thread_communicator& comm, cuda_exec const& ex) {
    std::vector<std::byte> host(64);
    incoming_message const in{0, host};
    comm.transfer(ex, {}, {&in, 1});
  });
  has(wrong[0], "what is received must be device memory");
}

TEST_CASE("cuda threads: a root's calls, chunks, shards and pairs give the host's bits, also in groups by split") {
  support::watchdog const guard("cuda threads: operations");
  hadamard_rotate constexpr rotate{};
  auto const c = rotate | natural{};
  std::size_t constexpr n = 700;
  auto const all_calls = [&](auto const& ex, thread_communicator& comm, auto x, auto y, auto z) {
    workspace<std::remove_cvref_t<decltype(ex)>> ws{ex};
    auto const w = rank_index(comm.size()), me = rank_index(comm.rank());
    int const last = comm.size() - 1;
    std::vector<std::size_t> counts(w);
    for (std::size_t r = 1; r < w; ++r) counts[r] = r * 100;
    all_to_all(ex, comm, c, x, y, ws, {.at = 1});
    scatter_from(ex, comm, c, y, z.first(n), last, ws, {.at = 2});
    gather_to(ex, comm, c, z.first(n), y, 0, ws, {.at = 3});
    auto sub = comm.split(comm.rank() % 2, -comm.rank());
    reduce_to(ex, *sub, c, y, x, sub->size() - 1, ws, {.at = 4});
    allgatherv(ex, comm, c, x.first(counts[me]), z.first(50 * w * (w - 1)), counts, ws, {.at = 5});
    if (comm.rank() > 0) receive(ex, comm, c, z.last(n), comm.rank() - 1, ws, {.at = 6});
    if (comm.rank() < last) send(ex, comm, c, y.first(n), comm.rank() + 1, ws, {.at = 6});
  };
  on_all_layouts([&](int ranks, int devices) {
    auto const w = rank_index(ranks);
    per_rank<float> in, host(3 * w), gpu(3 * w);
    for (int r = 0; r < ranks; ++r) in.push_back(support::same_gaussian_values(w * n, 80 + rank_index(r)));
    thread_group group(ranks);
    group.run([&](thread_communicator& comm) {
      auto const at = 3 * rank_index(comm.rank());
      host[at] = in[rank_index(comm.rank())];
      host[at + 1].resize(w * n);
      host[at + 2].resize(w * n);
      all_calls(host_exec{1}, comm, std::span(host[at]), std::span(host[at + 1]), std::span(host[at + 2]));
    });
    on_ranks(ranks, devices, [&](thread_communicator& comm, cuda_exec const& ex) {
      auto const at = 3 * rank_index(comm.rank());
      std::vector<float> const zeros(w * n);
      device_array<float> const x(in[rank_index(comm.rank())]), y(zeros), z(zeros);
      all_calls(ex, comm, x.span(), y.span(), z.span());
      ex.synchronize();
      gpu[at] = x.values();
      gpu[at + 1] = y.values();
      gpu[at + 2] = z.values();
    });
    CHECK(same_bits(gpu, host));
  });
}

TEST_CASE("cuda threads: wrong arguments are refused in one sentence") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  thread_group group(1);
  thread_communicator comm(group, 0);
  device_array<std::byte> const x(64);
  std::vector<std::byte> host(64);
  auto const refusal = [](auto const& call) -> std::string {
    try {
      call();
    } catch (invalid_argument const& e) {
      return e.what();
    }
    return "nothing was thrown";
  };
  has(refusal([&] { comm.all_gather(ex, host, bytes_of(x)); }),
      "thread_communicator::all_gather: send must be device memory for a cuda_exec, got pageable host memory");
  has(refusal([&] { comm.all_to_all(ex, bytes_of(x), bytes_of(x).first(60)); }), "a buffer has 60 bytes and needs 64");
  has(refusal([&] { comm.broadcast(ex, bytes_of(x), 1); }), "root is rank 1 of a group of 1");
  has(refusal([&] { comm.all_reduce(ex, nullptr, 8, wire_type::int8, wire_op::sum); }),
      "data is null and should hold 8");
  has(refusal([&] { comm.all_reduce(ex, x.data(), 8, wire_type::float32, wire_op::max); }),
      "the maximum is defined for integers");

  REQUIRE(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  has(refusal([&] { comm.broadcast(ex, bytes_of(x), 0); }),
      "thread_communicator::broadcast: the stream records a graph, in which the threads of a group cannot meet");
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);  // and the capture is not spoilt
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);

  if (cudart_sim::set_device_count(2)) {
    REQUIRE(cudaSetDevice(1) == cudaSuccess);
    has(refusal([&] { comm.broadcast(ex, bytes_of(x), 0); }),
        "the stream belongs to device 0, but device 1 is current");
    has(refusal([&] { comm.broadcast(cuda_exec{}, bytes_of(x), 0); }), "data lies on device 0, the stream belongs to");
    REQUIRE(cudaSetDevice(0) == cudaSuccess);
    cudart_sim::set_device_count(1);
  }
}

TEST_CASE("cuda threads: allreduce gives the host's bits") {
  support::watchdog const guard("cuda threads: allreduce");
  auto const check = [](auto const& c, int ranks, int devices, auto strategy) {
    per_rank<float> host, gpu(rank_index(ranks));
    for (int r = 0; r < ranks; ++r) host.push_back(support::same_gaussian_values(2000, 60 + rank_index(r)));
    auto const in = host;
    allreduce_options const options{.op = reduction::mean, .at = 7, .tensor = 9};
    thread_group group(ranks);
    group.run([&](thread_communicator& comm) {
      workspace<host_exec> ws{{1}};
      allreduce(host_exec{1}, comm, c, std::span(host[rank_index(comm.rank())]), ws, options, strategy);
    });
    on_ranks(ranks, devices, [&](thread_communicator& comm, cuda_exec const& ex) {
      device_array<float> const x(in[rank_index(comm.rank())]);
      workspace<cuda_exec> ws{ex};
      allreduce(ex, comm, c, std::span(x.data(), x.size()), ws, options, strategy);
      ex.synchronize();
      gpu[rank_index(comm.rank())] = x.values();
    });
    for (int r = 0; r < ranks; ++r) CHECK(same_bits(gpu[rank_index(r)], host[rank_index(r)]));
  };
  on_all_layouts([&](int ranks, int devices) {
    if (ranks == 1) return;
    // natural: nvcc makes four times as many kernels of uniform_quantize.
    check(hadamard_rotate{} | natural{}, ranks, devices, two_shot{});
    check(uniform_quantize<8>{.round = rounding::stochastic}, ranks, devices, gather{});
    check(cast<bfloat16>{}, ranks, devices, in_flight{});
  });
}
