#include <support/generators.hpp>
#include <support/nccl/nccl_checks.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/comm/nccl.hpp>
#include <ccomp/comm/nccl_memory.hpp>
#include <ccomp/testing/check_communicator.hpp>

#include <doctest/doctest.h>

#include <cstdint>

using ccomp::cuda_exec;
using ccomp::nccl_communicator;
using ccomp::wire_op;
using ccomp::wire_type;
using support::all_well;
using support::clean_sim;
using support::error_of;
using support::has;
using support::on_gpu;
using support::on_ranks;
using support::text_of;
using namespace std::chrono_literals;

static_assert(ccomp::can_all_gather<nccl_communicator, cuda_exec>);
static_assert(ccomp::can_all_to_all<nccl_communicator, cuda_exec>);
static_assert(ccomp::can_all_reduce<nccl_communicator, cuda_exec>);
static_assert(ccomp::can_broadcast<nccl_communicator, cuda_exec>);
static_assert(ccomp::can_agree<nccl_communicator>);
static_assert(!std::is_copy_constructible_v<nccl_communicator>);
static_assert(std::is_nothrow_move_constructible_v<nccl_communicator>);
static_assert(std::is_nothrow_move_assignable_v<nccl_communicator>);

namespace {

using byte_vector = std::vector<std::byte>;

std::size_t index(int r) { return static_cast<std::size_t>(r); }
byte_vector random_bytes(std::size_t n, int seed) {
  support::generator g(static_cast<std::uint64_t>(seed) + 1);
  byte_vector b(n);
  for (auto& x : b) x = static_cast<std::byte>(g.next());
  return b;
}

/// Sums and maxima of all ranks, each type against the rule: integers wrap, floats in float, rounded once.
template <class T> void check_reductions(nccl_communicator& comm, cuda_exec const& ex, wire_type type, std::size_t n) {
  int const ranks = comm.size();
  for (auto const op : {wire_op::sum, wire_op::max}) {
    std::vector<std::vector<T> > x(index(ranks), std::vector<T>(n * index(ranks)));
    std::vector<T> want(n * index(ranks));
    for (int r = 0; r < ranks; ++r) {
      support::generator g(static_cast<std::uint64_t>(r) + 1);
      for (auto& v : x[index(r)]) v = T(static_cast<float>(static_cast<int>(g.next() % 2001) - 1000) * 0.125f);
    }
    for (std::size_t i = 0; i < want.size(); ++i) {
      auto all = static_cast<float>(x[0][i]);
      for (int r = 1; r < ranks; ++r) {
        auto const v = static_cast<float>(x[index(r)][i]);
        all = op == wire_op::sum ? all + v : std::max(all, v);
      }
      if constexpr (std::is_integral_v<T>)
        want[i] = static_cast<T>(static_cast<std::int64_t>(all));
      else
        want[i] = T(all);
    }
    auto const& mine = x[index(comm.rank())];
    on_gpu<T> const whole(mine), send(mine), part(n);
    comm.all_reduce(ex, whole.data(), whole.size(), type, op);
    comm.reduce_scatter(ex, send.data(), part.data(), n, type, op);
    ex.synchronize();
    CHECK(support::same_bits(whole.peek(), want));
    auto const first = want.begin() + static_cast<std::ptrdiff_t>(index(comm.rank()) * n);
    CHECK(support::same_bits(part.peek(), std::vector<T>(first, first + static_cast<std::ptrdiff_t>(n))));
  }
}

}  // namespace

TEST_CASE("nccl_communicator keeps what collectives rely on") {
  support::watchdog const guard("suite");
  clean_sim const sim;
  for (int const ranks : {1, 2, 3, 4})
    all_well(on_ranks(ranks, [&](nccl_communicator& comm, cuda_exec const& ex) {
      // NCCL adds in an order of its own.
      auto const faults = ccomp::testing::check_communicator(ex, comm, {.rank_order = false});
      CHECK(faults == std::vector<std::string>{});
    }));
}

TEST_CASE("nccl_communicator sends and receives in a group") {
  support::watchdog const guard("send and receive");
  clean_sim const sim;
  for (int const ranks : {1, 2, 3, 4})
    for (std::size_t const n : {0u, 1u, 31u, 4097u})
      all_well(on_ranks(ranks, [&](nccl_communicator& comm, cuda_exec const& ex) {
        int const r = comm.rank();
        CHECK(comm.size() == ranks);
        CHECK(comm.device() == r);
        CHECK(comm.owned());
        on_gpu<std::byte> const mine(random_bytes(n, r)), next(n);
        {
          ccomp::nccl_group group(comm);
          comm.send(ex, mine.bytes(), (r + 1) % ranks);
          comm.receive(ex, next.bytes(), (r + ranks - 1) % ranks);
          group.end();
        }
        ex.synchronize();
        CHECK(next.peek() == random_bytes(n, (r + ranks - 1) % ranks));
      }));
}

TEST_CASE("the example of docs/nccl.md") {
  support::watchdog const guard("example");
  clean_sim const sim;
  auto const id = nccl_communicator::unique_id();
  constexpr int ranks = 2;
  constexpr std::size_t n = 1000;
  auto one_rank = [&](int rank) {
    int const device = rank;
    CHECK(cudaSetDevice(device) == cudaSuccess);
    support::own_stream const own;
    on_gpu<float> const x(std::vector<float>(n, 1.0f));
    auto* const stream = own.get();
    auto* const gradient = x.data();
    // [example]
    // id: made by one rank with nccl_communicator::unique_id(), sent to all
    nccl_communicator comm(id, rank, ranks, device);
    cuda_exec const ex(stream);  // a stream of the same device, which is current
    comm.all_reduce(ex, gradient, n, wire_type::float32, wire_op::sum);
    comm.wait(ex, 30s);  // or continue: later work on the stream sees the sum
    comm.finalize();
    // [/example]
    CHECK(x.peek() == std::vector<float>(n, 2.0f));
  };
  std::jthread const other(one_rank, 1);
  one_rank(0);
}
TEST_CASE("all_reduce and reduce_scatter of every type that NCCL has") {
  support::watchdog const guard("reductions");
  clean_sim const sim;
  for (int const ranks : {1, 2, 3, 4})
    for (std::size_t const n : {1u, 517u})
      all_well(on_ranks(ranks, [&](nccl_communicator& comm, cuda_exec const& ex) {
        check_reductions<float>(comm, ex, wire_type::float32, n);
        check_reductions<ccomp::float16>(comm, ex, wire_type::float16, n);
        check_reductions<ccomp::bfloat16>(comm, ex, wire_type::bfloat16, n);
        check_reductions<std::int8_t>(comm, ex, wire_type::int8, n);
        check_reductions<std::int32_t>(comm, ex, wire_type::int32, n);
        on_gpu<std::uint32_t> const big(std::vector<std::uint32_t>(n, 0xc0000000u));  // beyond int32, and it wraps
        comm.all_reduce(ex, big.data(), n, wire_type::uint32, wire_op::max);
        comm.all_reduce(ex, big.data(), n, wire_type::uint32, wire_op::sum);
        ex.synchronize();
        CHECK(big.peek() == std::vector<std::uint32_t>(n, 0xc0000000u * static_cast<std::uint32_t>(ranks)));
      }));
}
TEST_CASE("calls are asynchronous: nothing happens, and the host does not wait, until the stream is waited for") {
  support::watchdog const guard("asynchrony");
  clean_sim const sim;
  all_well(on_ranks(2, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(100, 1.0f));
    on_gpu<float> const all(200);
    auto const before = x.peek();
    {
      cudart_sim::hold_stream const held(ex.stream());  // a call that waited for it would fail
      comm.all_reduce(ex, x.data(), x.size(), wire_type::float32, wire_op::sum);
      comm.all_gather(ex, x.bytes(), all.bytes());
      comm.check();
      CHECK(x.peek() == before);
    }
    ex.synchronize();
    CHECK(x.peek() == std::vector<float>(100, 2.0f));
    CHECK(all.peek() == std::vector<float>(200, 2.0f));
  }));
}
TEST_CASE("wrong arguments are refused by a sentence, and nothing is called") {
  support::watchdog const guard("arguments");
  clean_sim const sim;
  all_well(on_ranks(2, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<std::byte> const a(64), b(128);
    byte_vector host(64);
    auto const nothing = std::span<std::byte>{};
    auto refused = [](std::string const& text, std::string const& part) {
      has(text, "invalid_argument: ccomp: nccl_communicator::");
      has(text, part);
    };
    refused(error_of([&] { comm.all_gather(ex, a.bytes(), b.bytes().first(127)); }),
            "receive has 127 bytes and needs 2 times 64");
    refused(error_of([&] { comm.all_gather(ex, nothing, b.bytes()); }), "receive has 128 bytes and needs 2 times 0");
    refused(error_of([&] { comm.all_to_all(ex, a.bytes().first(63), b.bytes().first(63)); }),
            "send has 63 bytes and needs 2 times 31");
    refused(error_of([&] { comm.all_to_all(ex, a.bytes(), b.bytes()); }), "receive has 128 bytes and needs 2 times 32");
    refused(error_of([&] { comm.broadcast(ex, a.bytes(), 2); }), "root is rank 2 of a group of 2");
    refused(error_of([&] { comm.send(ex, a.bytes(), -1); }), "the receiver is rank -1 of a group of 2");
    refused(error_of([&] { comm.receive(ex, a.bytes(), 7); }), "the sender is rank 7 of a group of 2");
    refused(error_of([&] { comm.all_reduce(ex, a.data(), 8, wire_type::int16, wire_op::sum); }),
            "all_reduce: NCCL has no int16");
    refused(error_of([&] { comm.reduce_scatter(ex, b.data(), a.data(), 8, wire_type::int16, wire_op::sum); }),
            "reduce_scatter: NCCL has no int16");
    refused(error_of([&] { comm.all_gather(ex, host, b.bytes()); }), "send must be device memory");
    refused(error_of([&] { comm.all_reduce(ex, nullptr, 8, wire_type::int8, wire_op::sum); }), "data is null");
    refused(error_of([&] { static_cast<void>(comm.split(-7, 0)); }), "a colour is 0 or more");

    int const here = comm.device(), other = here + 2;
    CHECK(cudaSetDevice(other) == cudaSuccess);
    refused(error_of([&] { comm.all_gather(cuda_exec{}, a.bytes(), b.bytes()); }),
            "the communicator belongs to device " + std::to_string(here) + ", the stream to device " +
                std::to_string(other));
    on_gpu<std::byte> const far(64);
    CHECK(cudaSetDevice(here) == cudaSuccess);
    refused(error_of([&] { comm.broadcast(ex, far.bytes(), 0); }), "lies on device " + std::to_string(other));

    // No bytes, no call.
    comm.all_gather(ex, nothing, nothing);
    comm.all_to_all(ex, nothing, nothing);
    comm.all_reduce(ex, nullptr, 0, wire_type::float32, wire_op::sum);
    comm.reduce_scatter(ex, nullptr, nullptr, 0, wire_type::float32, wire_op::sum);
    comm.broadcast(ex, nothing, 1);
    comm.send(ex, nothing, 0);
    comm.receive(ex, nothing, 0);
  }));
  for (auto const* f : {"ncclAllGather", "ncclAllReduce", "ncclReduceScatter", "ncclBroadcast", "ncclSend", "ncclRecv"})
    CHECK(nccl_sim::calls(f) == 0);
  has(error_of([] { nccl_communicator comm(nullptr); }), "the ncclComm_t is null");
  has(error_of([] { nccl_communicator comm(nccl_communicator::unique_id(), 2, 2, 0); }), "rank 2 of a group of 2");
  has(error_of([] { static_cast<void>(nccl_communicator::init_all({})); }), "at least 1 device");
}
