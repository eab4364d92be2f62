// What every call with a cuda_exec promises, each row of one table: asynchronous, no allocation after the first, graphs,
// streams beside it, any grid and address; and what it refuses.
#include <support/cuda/recorded_graph.hpp>
#include <support/nccl/every_call.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::call_site;
using support::public_call;
using support::public_calls;

namespace {

constexpr std::size_t some_values = 1201;

/// A rank of its own: calls over it need no other thread.
struct lone_rank {
  support::own_stream stream;
  cuda_exec ex{stream.get()};
  nccl_communicator comm{nccl_communicator::unique_id(), 0, 1, 0};
};

/// A site at which the call was made once, and all is done.
void make_first(public_call const& call, call_site& site) {
  if (call.before) call.before(site);
  call.make(site);
  site.wait();
}
std::string label(public_call const& call) { return call.name + " (" + call.what + ')'; }

/// Every call; messages say which.
template <class F> void for_each_call(F const& f) {
  for (auto const& call : public_calls()) {
    INFO(label(call));
    f(call);
  }
}
/// The same on several ranks; `f(call, communicator, exec)`.
template <class F> void for_each_call_on_ranks(int ranks, F const& f) {
  support::all_well(support::on_ranks(ranks, [&](nccl_communicator& comm, cuda_exec const& ex) {
    for (auto const& call : public_calls()) f(call, comm, ex);
  }));
}
}  // namespace

TEST_CASE("cuda calls: a second one allocates nothing and does not wait, but for those that are said to") {
  support::watchdog const guard("cuda calls: asynchronous");
  support::clean_sim const sim;
  for_each_call([](public_call const& call) {
    lone_rank rank;
    call_site site(rank.ex, rank.comm, some_values);
    make_first(call, site);
    auto const memory = site.peek();
    auto const pending = cudart_sim::pending();
    auto const before = cudart_sim::count();
    std::optional<cudart_sim::hold_stream> hold;
    if (!call.waits) hold.emplace(rank.stream.get());
    call.make(site);
    auto const after = cudart_sim::count();
    CHECK(after.launches > before.launches);
    CHECK(after.allocations == before.allocations);
    CHECK((after.host_syncs > before.host_syncs) == call.waits);
    if (!call.waits) {
      CHECK(cudart_sim::pending() > pending);
      CHECK(site.peek() == memory);
      hold->release();
    }
    site.wait();
    site.ws.check();
  });
}

TEST_CASE("cuda calls: what else waits") {
  support::clean_sim const sim;
  lone_rank rank;
  call_site site(rank.ex, rank.comm, some_values);
  auto const waits = [](auto const& call) {
    auto const before = cudart_sim::count().host_syncs;
    call();
    return cudart_sim::count().host_syncs > before;
  };
  auto& plain = site.feedback();
  auto const saved = plain.save();
  CHECK(waits([&] { static_cast<void>(plain.save()); }));
  CHECK(waits([&] { static_cast<void>(plain.residual_copy()); }));
  CHECK(waits([&] { plain.load(saved); }));
  CHECK(waits([&] { site.ws.check(); }));
  CHECK(waits([&] { site.low_rank_feedback().reset(); }));
  CHECK(waits([&] { error_feedback(power_sgd{.rank = 2}, some_values, rank.ex); }));
  cudart_sim::hold_stream hold(rank.stream.get());
  CHECK_FALSE(waits([&] { plain.scale(0.5f); }));
  CHECK_FALSE(waits([&] { plain.reset(); }));
  CHECK_FALSE(waits([&] { error_feedback(call_site::by_blocks, some_values, rank.ex); }));
  CHECK_FALSE(waits([&] { site.ws.release(); }));
  hold.release();
  rank.ex.synchronize();
}

TEST_CASE("cuda calls: a graph repeats what was recorded") {
  support::watchdog const guard("cuda calls: graphs", std::chrono::seconds(240));
  support::clean_sim const sim;
  for_each_call_on_ranks(2, [](public_call const& call, nccl_communicator& comm, cuda_exec const& ex) {
    if (call.waits) return;
    call_site plain(ex, comm, some_values), replayed(ex, comm, some_values);
    make_first(call, plain);
    make_first(call, replayed);
    auto const first = plain.peek();
    for (int i = 0; i < 2; ++i) call.make(plain);
    plain.wait();
    support::recorded_graph const graph(ex, [&] { call.make(replayed); });
    replayed.wait();
    auto const recorded = replayed.peek();
    for (int i = 0; i < 2; ++i) graph.launch();
    replayed.wait();
    INFO(label(call));
    CHECK(support::same_bits(recorded, first));  // recording runs nothing
    CHECK(support::same_bits(replayed.peek(), plain.peek()));
  });
}

TEST_CASE("cuda calls: two streams with a workspace and a communicator each do not interfere") {
  support::watchdog const guard("cuda calls: two streams");
  support::clean_sim const sim;
  for_each_call([](public_call const& call) {
    if (call.waits) return;
    auto const alone = [&](std::uint64_t seed) {
      lone_rank rank;
      call_site site(rank.ex, rank.comm, some_values, 0, seed);
      make_first(call, site);
      call.make(site);
      site.wait();
      return site.peek();
    };
    lone_rank held, free;
    call_site a(held.ex, held.comm, some_values, 0, 1), b(free.ex, free.comm, some_values, 0, 2);
    make_first(call, a);
    make_first(call, b);
    auto const before = a.peek(), expected_of_a = alone(1), expected_of_b = alone(2);
    cudart_sim::hold_stream hold(held.stream.get());
    call.make(a);
    call.make(b);
    b.wait();
    CHECK(a.peek() == before);
    CHECK(b.peek() == expected_of_b);
    hold.release();
    a.wait();
    CHECK(a.peek() == expected_of_a);
  });
}

TEST_CASE("cuda calls: results do not depend on the grid") {
  support::watchdog const guard("cuda calls: grid", std::chrono::seconds(240));
  support::clean_sim const sim;
  for_each_call([](public_call const& call) {
    std::vector<std::byte> first;
    for (int const multiprocessors : {0, 1, 3}) {
      lone_rank rank;
      call_site site(cuda_exec(rank.stream.get(), multiprocessors), rank.comm, 20000);
      make_first(call, site);
      if (first.empty()) first = site.peek();
      CHECK(site.peek() == first);
    }
  });
}

TEST_CASE("cuda calls: tensors and frames of any size start anywhere") {
  support::watchdog const guard("cuda calls: addresses", std::chrono::seconds(240));
  support::clean_sim const sim;
  for (std::size_t const n : {0u, 1u, 6u, 513u})
    for_each_call_on_ranks(2, [n](public_call const& call, nccl_communicator& comm, cuda_exec const& ex) {
      std::vector<std::byte> aligned;
      for (std::size_t const skip : {0u, 1u, 3u}) {
        call_site site(ex, comm, n, skip);
        make_first(call, site);
        INFO(label(call));
        CAPTURE(n);
        CAPTURE(skip);
        if (skip == 0) aligned = site.results();
        CHECK(support::same_bits(site.results(), aligned));
      }
    });
}

namespace {

/// A site whose calls are refused: nothing is queued or written.
class refusing {
 public:
  refusing(public_call const& call, call_site& site)
      : call_(call), site_(site), launches_(cudart_sim::count().launches), memory_(site.peek()) {}
  ~refusing() {
    CHECK(cudart_sim::count().launches == launches_);
    CHECK(site_.peek() == memory_);
  }
  refusing(refusing const&) = delete;
  refusing& operator=(refusing const&) = delete;

  void operator()(std::string const& expected) const {
    support::has(support::error_of([&] { call_.make(site_); }),
                 "invalid_argument: ccomp: " + call_.name + ": " + expected);
  }
  /// With that memory instead of the site's own.
  void with(public_call::argument const& argument, std::span<std::byte> memory, std::string const& expected) const {
    auto const own = std::exchange(site_.at[argument.where], memory.first(site_.at[argument.where].size()));
    (*this)(argument.name + expected);
    site_.at[argument.where] = own;
  }

 private:
  public_call const& call_;
  call_site& site_;
  std::size_t launches_;
  std::vector<std::byte> memory_;
};

}  // namespace

TEST_CASE("cuda calls: memory of the host or of another device is refused by each, by name") {
  support::clean_sim const sim;
  alignas(16) static std::byte host[1 << 16];
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  support::on_gpu<std::byte> const elsewhere(sizeof host);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  for_each_call([&](public_call const& call) {
    lone_rank rank;
    call_site site(rank.ex, rank.comm, some_values);
    make_first(call, site);
    refusing const refused(call, site);
    for (auto const& argument : call.arguments) {
      refused.with(argument, host, " must be device memory for a cuda_exec, got pageable host memory");
      refused.with(argument, elsewhere.bytes(), " lies on device 1, the stream belongs to device 0");
    }
  });
}

TEST_CASE("cuda calls: another device, stream or communicator than the workspace's is refused by each, by name") {
  support::clean_sim const sim;
  for_each_call([](public_call const& call) {
    lone_rank rank, other;
    call_site site(rank.ex, rank.comm, some_values);
    make_first(call, site);
    refusing const refused(call, site);
    REQUIRE(cudaSetDevice(1) == cudaSuccess);
    refused("the stream belongs to device 0, but device 1 is current");
    REQUIRE(cudaSetDevice(0) == cudaSuccess);
    site.ex = other.ex;
    refused("the workspace belongs to stream " + detail::stream_name(rank.ex) + ", the call to stream " +
            detail::stream_name(other.ex));
    site.ex = rank.ex;
    if (!call.meets) return;
    nccl_communicator there(nccl_communicator::unique_id(), 0, 1, 1);
    site.comm = &there;
    refused("the communicator belongs to device 1, the stream to device 0");
    site.comm = &rank.comm;
  });
}

TEST_CASE("cuda calls: a workspace too small is refused by each that needs one, by name and size") {
  support::clean_sim const sim;
  for_each_call([](public_call const& call) {
    lone_rank rank;
    call_site site(rank.ex, rank.comm, some_values);
    make_first(call, site);
    if (site.ws.size() == 0) return;
    support::on_gpu<std::byte> const small(16);
    refusing const refused(call, site);
    auto own = std::exchange(site.ws, workspace<cuda_exec>(rank.ex, small.bytes()));
    if (!call.waits) refused("the lent buffer has 16 bytes and the call needs ");
    site.ws = workspace<cuda_exec>(rank.ex);
    if (!call.waits) {
      static_cast<void>(site.ws.status());  // what only a first call makes is refused in another sentence
      static_cast<void>(site.ws.kept<detail::cublas>());
      support::recorded_graph const graph(
          rank.ex, [&] { refused("the stream records a graph, the workspace has 0 bytes and the call needs "); });
    }
    site.ws = std::move(own);
  });
}

TEST_CASE("cuda calls: ranks that bring tensors of different sizes learn of it, each") {
  support::watchdog const guard("cuda calls: mismatch");
  support::clean_sim const sim;
  for (auto const& call : public_calls()) {
    if (!call.meets) continue;
    auto const thrown = support::on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
      call_site site(ex, comm, comm.rank() == 0 ? 600 : 601);
      auto const before = site.results();
      auto const said = support::error_of([&] { call.make(site); });
      comm.wait(ex, std::chrono::seconds(60));
      INFO(label(call));
      CHECK(support::same_bits(site.results(), before));
      support::has(said, "rank_mismatch: ccomp: the ranks disagree: rank 0 calls ");
      support::has(said, " rank 1 calls " + call.name + '(');
    });
    support::all_well(thrown);
  }
}
