// How an NCCL communicator is made, shared, agreed on, broken and ended.
#include <support/nccl/nccl_checks.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/comm/nccl.hpp>
#include <ccomp/comm/nccl_memory.hpp>

#include <doctest/doctest.h>

#include <atomic>

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

namespace {

void expect_text(std::string const& text, std::string const& type, std::string const& part) {
  CHECK_MESSAGE(text.starts_with(type + ": ccomp: "), text);
  has(text, part);
}
std::string describe(void const* what) { return static_cast<char const*>(what); }

void sum(nccl_communicator& comm, cuda_exec const& ex, on_gpu<float> const& x) {
  comm.all_reduce(ex, x.data(), x.size(), wire_type::float32, wire_op::sum);
}
ccomp::nccl_options non_blocking(std::chrono::milliseconds deadline = 10s) {
  ccomp::nccl_options options{.deadline = deadline};
  options.config.blocking = 0;
  return options;
}

}  // namespace

TEST_CASE("a borrowed communicator is left alone, an owned one is ended") {
  clean_sim const sim;
  ncclComm_t handle = nullptr;
  CHECK(ncclCommInitRank(&handle, 1, nccl_communicator::unique_id(), 0) == ncclSuccess);
  {
    nccl_communicator borrowed(handle);
    CHECK(!borrowed.owned());
    CHECK(borrowed.get() == handle);
    expect_text(error_of([&] { borrowed.finalize(); }), "invalid_argument", "the communicator is borrowed");
  }
  CHECK(nccl_sim::communicators() == 1);
  CHECK(ncclCommDestroy(handle) == ncclSuccess);
  {
    nccl_communicator const owned(nccl_communicator::unique_id(), 0, 1, 2);
  }
  CHECK(nccl_sim::calls("ncclCommAbort") == 1);
  {
    nccl_communicator owned(nccl_communicator::unique_id(), 0, 1, 2);
    owned.finalize();
    expect_text(error_of([&] { owned.check(); }), "communicator_error", "out of use since finalize()");
  }
  CHECK(nccl_sim::calls("ncclCommAbort") == 1);
  CHECK(nccl_sim::calls("ncclCommDestroy") == 2);
}
TEST_CASE("making a communicator makes its device current only for a while") {
  clean_sim const sim;
  nccl_communicator const comm(nccl_communicator::unique_id(), 0, 1, 3);
  CHECK(comm.device() == 3);
  CHECK(ccomp::detail::current_device() == 0);
  nccl_sim::fail_next("ncclCommInitRankConfig", ncclSystemError);
  expect_text(error_of([] { nccl_communicator(nccl_communicator::unique_id(), 0, 1, 1); }), "nccl_error",
              "ncclCommInitRankConfig: unhandled system error");
  CHECK(ccomp::detail::current_device() == 0);
}
TEST_CASE("a communicator moves; what is left says so") {
  clean_sim const sim;
  nccl_communicator a(nccl_communicator::unique_id(), 0, 1, 0);
  auto* const handle = a.get();
  nccl_communicator b(std::move(a));
  CHECK(b.get() == handle);
  expect_text(error_of([&] { a.check(); }), "invalid_argument", "nccl_communicator::check: the communicator was moved");
  nccl_communicator c(nccl_communicator::unique_id(), 0, 1, 0);
  c = std::move(b);  // and ends its own
  CHECK(c.get() == handle);
  CHECK(nccl_sim::communicators() == 1);
  c.agree(1, "x", &describe);
}
TEST_CASE("a stream that is not done in time: the owned communicator is aborted, the borrowed one reported") {
  support::watchdog const guard("timeout");
  clean_sim const sim;
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  on_gpu<float> const x(std::vector<float>(8, 1.0f));
  for (bool const owned : {true, false}) {
    CAPTURE(owned);
    nccl_communicator owner(nccl_communicator::unique_id(), 0, 1, 0);
    nccl_communicator borrower(owner.get());
    auto& comm = owned ? owner : borrower;
    {
      cudart_sim::hold_stream const held(stream.get());
      sum(comm, ex, x);
      auto const begin = std::chrono::steady_clock::now();
      expect_text(error_of([&] { comm.wait(ex, 30ms); }), "timeout",
                  std::string("nccl_communicator::wait: the stream was not done after 30 ms; rank 0 of 1 ") +
                      (owned ? "has aborted its communicator" : "leaves its borrowed communicator to its owner"));
      CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    }
    CHECK(nccl_sim::communicators() == (owned ? 0 : 1));
    CHECK((comm.get() == nullptr) == owned);
    for (auto const& text :
         {error_of([&] { comm.check(); }), error_of([&] { sum(comm, ex, x); }), error_of([&] { comm.wait(ex, 1s); }),
          error_of([&] { comm.agree(1, "x", &describe); }), error_of([&] { static_cast<void>(comm.split(0, 0)); }),
          error_of([&] { ccomp::nccl_group(comm).end(); }), error_of([&] { comm.broadcast(ex, x.bytes(), 0); })})
      expect_text(text, "communicator_error", "out of use since nccl_communicator::wait: the stream was not done");
    if (!owned) {
      owner.check();
      owner.wait(ex, 10s);
    }
    ex.synchronize();
  }
}
TEST_CASE("a wait that ends well, and one without an end") {
  clean_sim const sim;
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  nccl_communicator comm(nccl_communicator::unique_id(), 0, 1, 0);
  on_gpu<float> const x(std::vector<float>(8, 1.0f)), y(8);
  comm.all_gather(ex, x.bytes(), y.bytes());
  comm.wait(ex, std::chrono::milliseconds::max());
  CHECK(y.peek() == x.peek());
  comm.wait(ex, 0ms);
  CHECK(cudaGetLastError() == cudaSuccess);  // "not ready" is no error that a later call is blamed for
}
TEST_CASE("a rank that never comes, or leaves: the others are told and can end") {
  support::watchdog const guard("missing");
  clean_sim const sim;
  nccl_sim::patience(100ms);
  auto thrown = on_ranks(3, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(8, 1.0f));
    if (comm.rank() == 2) {
      std::this_thread::sleep_for(200ms);
      return;
    }
    sum(comm, ex, x);
    comm.wait(ex, 10s);
  });
  for (std::size_t const r : {0u, 1u}) expect_text(text_of(thrown[r]), "nccl_error", "a rank never joined in");

  nccl_sim::patience(20s);
  thrown = on_ranks(3, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(8, 1.0f));
    if (comm.rank() == 2) throw std::logic_error("rank 2 dies");  // its communicator is aborted
    sum(comm, ex, x);
    comm.wait(ex, 10s);
  });
  CHECK(text_of(thrown[2]) == "other: rank 2 dies");
  for (std::size_t const r : {0u, 1u}) expect_text(text_of(thrown[r]), "nccl_error", "rank 2 has left");
}
TEST_CASE("ranks that disagree about a collective learn it as an asynchronous error") {
  support::watchdog const guard("disagree");
  clean_sim const sim;
  auto thrown = on_ranks(2, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(8, 1.0f));
    comm.all_reduce(ex, x.data(), comm.rank() == 0 ? 8 : 7, wire_type::float32, wire_op::sum);
    comm.wait(ex, 10s);
  });
  for (auto const& e : thrown) expect_text(text_of(e), "nccl_error", "the ranks disagree about a collective");
  thrown = on_ranks(2, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<std::byte> const x(8);
    if (comm.rank() == 0)
      comm.send(ex, x.bytes(), 1);
    else
      comm.receive(ex, x.bytes().first(4), 0);
    comm.wait(ex, 10s);
  });
  for (auto const& e : thrown) expect_text(text_of(e), "nccl_error", "a send and its receive differ in size");
}
TEST_CASE("check() and every later call know of an asynchronous error") {
  clean_sim const sim;
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  on_gpu<float> const x(std::vector<float>(8, 1.0f));
  nccl_communicator comm(nccl_communicator::unique_id(), 0, 1, 0), other(nccl_communicator::unique_id(), 0, 1, 0);
  comm.check();
  nccl_sim::fail_async(comm.get(), ncclRemoteError);
  expect_text(error_of([&] { comm.check(); }), "nccl_error",
              "nccl_communicator::check: remote process exited or there was a network error (ncclRemoteError)");
  CHECK(comm.get() == nullptr);
  expect_text(error_of([&] { sum(comm, ex, x); }), "communicator_error",
              "nccl_communicator::all_reduce: the communica");
  {  // wait() does not sit out its time
    nccl_communicator waits(nccl_communicator::unique_id(), 0, 1, 0);
    cudart_sim::hold_stream const held(stream.get());
    sum(waits, ex, x);
    nccl_sim::fail_async(waits.get(), ncclRemoteError);
    auto const begin = std::chrono::steady_clock::now();
    expect_text(error_of([&] { waits.wait(ex, 5s); }), "nccl_error", "nccl_communicator::wait: remote process exited");
    CHECK(std::chrono::steady_clock::now() - begin < 4s);
  }
  {  // nor is it content with a stream that is done
    nccl_communicator done(nccl_communicator::unique_id(), 0, 1, 0);
    ex.synchronize();
    nccl_sim::fail_async(done.get(), ncclSystemError);
    expect_text(error_of([&] { done.wait(ex, 5s); }), "nccl_error", "nccl_communicator::wait: unhandled system error");
  }
  // A call that NCCL itself refuses: wrong arguments do no harm, anything else is the end.
  nccl_sim::fail_next("ncclAllReduce", ncclInvalidArgument);
  expect_text(error_of([&] { sum(other, ex, x); }), "nccl_error", "ncclAllReduce: invalid argument");
  sum(other, ex, x);
  nccl_sim::fail_next("ncclAllReduce", ncclSystemError);
  expect_text(error_of([&] { sum(other, ex, x); }), "nccl_error", "ncclAllReduce: unhandled system error");
  CHECK(other.get() == nullptr);
  ex.synchronize();
}
TEST_CASE("destruction with work pending neither waits nor throws") {
  clean_sim const sim;
  support::own_stream const stream;
  cuda_exec const ex(stream.get());
  on_gpu<float> const x(std::vector<float>(8, 1.0f)), all(8);
  {
    cudart_sim::hold_stream const held(stream.get());
    nccl_communicator comm(nccl_communicator::unique_id(), 0, 1, 0);
    comm.agree(1, "x", &describe);
    comm.all_gather(ex, x.bytes(), all.bytes());
    auto const syncs = cudart_sim::count().host_syncs;
    {
      nccl_communicator const gone(std::move(comm));
    }
    CHECK(cudart_sim::count().host_syncs == syncs);
  }
  CHECK(cudart_sim::pending() > 0);
  ex.synchronize();
}
TEST_CASE("split: colours, keys, none") {
  support::watchdog const guard("split");
  clean_sim const sim;
  for (auto const& options : {ccomp::nccl_options{}, non_blocking()})
    all_well(on_ranks(
        4,
        [&](nccl_communicator& comm, cuda_exec const& ex) {
          int const r = comm.rank();
          auto part = comm.split(r % 2, -r);  // in reverse order
          REQUIRE(part);
          CHECK(part->owned());
          CHECK(part->size() == 2);
          CHECK(part->rank() == 1 - r / 2);
          CHECK(part->device() == comm.device());
          on_gpu<float> const x(std::vector<float>(3, static_cast<float>(r)));
          sum(*part, ex, x);
          part->wait(ex, 10s);
          CHECK(x.peek() == std::vector<float>(3, r % 2 == 0 ? 2.0f : 4.0f));
          auto const first = comm.split(r == 0 ? 5 : NCCL_SPLIT_NOCOLOR, 0, &options.config);
          CHECK(first.has_value() == (r == 0));
          part->finalize();
        },
        options));
}
TEST_CASE("agree: a mismatch reaches every rank; what was agreed on costs nothing") {
  support::watchdog const guard("agree");
  clean_sim const sim;
  std::atomic<int> ready = 0;
  all_well(on_ranks(3, [&](nccl_communicator& comm, cuda_exec const& ex) {
    comm.agree(42, "the same", &describe);
    bool const odd = comm.rank() == 1;
    expect_text(error_of([&] { comm.agree(odd ? 7 : 8, odd ? "allreduce of 7" : "allreduce of 8", &describe); }),
                "rank_mismatch", "the ranks disagree: rank 0 calls allreduce of 8, rank 1 calls allreduce of 7");
    std::string const text(1000, 'x');  // what does not fit is cut
    expect_text(error_of([&] { comm.agree(odd ? 5 : 6, text.c_str(), &describe); }), "rank_mismatch",
                "rank 0 calls " + text.substr(0, 247) + ", rank 1 calls " + text.substr(0, 247) + " [");
    comm.agree(ex, 8, "allreduce of 8", &describe);  // the mismatch was not remembered
    comm.prepare(9, "prepared", &describe);
    CHECK(++ready > 0);
    while (ready < 3) std::this_thread::yield();
    int const calls = nccl_sim::calls("ncclAllGather");
    auto const before = cudart_sim::count();
    for (int i = 0; i < 10; ++i) {
      comm.agree(42, nullptr, nullptr);
      comm.agree(ex, 8, nullptr, nullptr);
      comm.prepare(9, nullptr, nullptr);
    }
    CHECK(nccl_sim::calls("ncclAllGather") == calls);
    CHECK(cudart_sim::count().allocations == before.allocations);
    CHECK(cudart_sim::count().host_syncs == before.host_syncs);
    ready += 10;
    while (ready < 33) std::this_thread::yield();  // the others' finalize() waits
  }));
  CHECK(nccl_sim::calls("ncclAllGather") == 5 * 3);
}
TEST_CASE("a graph: what was not agreed on before is refused, what was runs whenever the graph does") {
  support::watchdog const guard("capture");
  clean_sim const sim;
  all_well(on_ranks(2, [](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<float> const x(std::vector<float>(5, 1.0f));
    comm.prepare(1, "a sum", &describe);
    REQUIRE(cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    comm.agree(ex, 1, "a sum", &describe);
    sum(comm, ex, x);
    expect_text(error_of([&] { comm.agree(ex, 2, "a mean", &describe); }), "invalid_argument",
                "the stream records a graph, and the ranks have not agreed on a mean; make the same call once before");
    expect_text(error_of([&] { comm.wait(ex, 1s); }), "invalid_argument", "the stream records a graph");
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t runs = nullptr;
    REQUIRE(cudaStreamEndCapture(ex.stream(), &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&runs, graph, 0) == cudaSuccess);
    CHECK(x.peek() == std::vector<float>(5, 1.0f));
    for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(runs, ex.stream()) == cudaSuccess);
    comm.wait(ex, 10s);
    CHECK(x.peek() == std::vector<float>(5, 8.0f));
    CHECK(cudaGraphExecDestroy(runs) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  }));
}
TEST_CASE("non-blocking communicators: what is in progress is waited for, with a deadline") {
  support::watchdog const guard("non-blocking");
  clean_sim const sim;
  all_well(on_ranks(
      2,
      [](nccl_communicator& comm, cuda_exec const& ex) {
        on_gpu<float> const x(std::vector<float>(6, 1.0f)), y(6);
        sum(comm, ex, x);
        comm.all_to_all(ex, x.bytes(), y.bytes());
        comm.agree(3, "x", &describe);
        comm.wait(ex, 10s);
        CHECK(y.peek() == std::vector<float>(6, 2.0f));
      },
      non_blocking()));
  auto alone = [](auto const& options) {
    return error_of([&] { nccl_communicator(nccl_communicator::unique_id(), 0, 2, 0, options); });
  };
  expect_text(alone(non_blocking(30ms)), "timeout", "ncclCommInitRankConfig: the ranks were not all there after 30 ms");
  nccl_sim::patience(30ms);
  expect_text(alone(ccomp::nccl_options{}), "nccl_error", "ncclCommInitRankConfig: unhandled system error");
  nccl_communicator slow(nccl_communicator::unique_id(), 0, 1, 0, non_blocking(30ms));
  on_gpu<float> const x(4);
  nccl_sim::polls(1000000);
  expect_text(error_of([&] { sum(slow, cuda_exec{}, x); }), "timeout", "ncclAllReduce: still in progress after 30 ms");
  expect_text(error_of([&] { slow.check(); }), "communicator_error", "out of use since ncclAllReduce");
}
TEST_CASE("groups: the communicators of one thread; errors come from end()") {
  support::watchdog const guard("groups");
  clean_sim const sim;
  int const devices[] = {2, 0, 1};
  auto comms = nccl_communicator::init_all(devices);
  std::vector<std::unique_ptr<support::own_stream> > streams;
  std::vector<cuda_exec> ex;
  std::vector<std::unique_ptr<on_gpu<float> > > x;
  for (std::size_t r = 0; r < 3; ++r) {
    CHECK(comms[r].rank() == static_cast<int>(r));
    CHECK(comms[r].device() == devices[r]);
    CHECK(cudaSetDevice(devices[r]) == cudaSuccess);
    streams.push_back(std::make_unique<support::own_stream>());
    ex.emplace_back(streams[r]->get());
    x.push_back(std::make_unique<on_gpu<float> >(std::vector<float>(4, static_cast<float>(r + 1))));
  }
  auto sums = [&] {
    for (std::size_t r = 0; r < 3; ++r) sum(comms[r], ex[r], *x[r]);
  };
  {
    ccomp::nccl_group group(comms);
    sums();
    expect_text(error_of([&] { comms[0].wait(ex[0], 1s); }), "invalid_argument", "an nccl_group is open");
    expect_text(error_of([&] { comms[0].agree(1, "x", &describe); }), "invalid_argument", "an nccl_group is open");
    group.end();
    expect_text(error_of([&] { group.end(); }), "invalid_argument", "the group has ended");
  }
  for (std::size_t r = 0; r < 3; ++r) comms[r].wait(ex[r], 10s);
  for (auto const& one : x) CHECK(one->peek() == std::vector<float>(4, 6.0f));

  // What NCCL refuses at the end: nothing of it runs.
  {
    ccomp::nccl_group group(comms);
    sums();
    nccl_sim::fail_next("ncclGroupEnd", ncclInvalidUsage);
    expect_text(error_of([&] { group.end(); }), "nccl_error", "ncclGroupEnd: invalid usage");
  }
  for (auto const& e : ex) e.synchronize();
  for (auto const& one : x) CHECK(one->peek() == std::vector<float>(4, 6.0f));
  // A group that an exception leaves is closed, and the next one works.
  CHECK_THROWS_AS(({
                    ccomp::nccl_group const group(comms);
                    throw std::logic_error("on the way");
                  }),
                  std::logic_error);
  expect_text(error_of([&] { comms[1].send(ex[1], x[1]->bytes(), 1); }), "nccl_error", "ncclSend: invalid usage");
  // What fails in a group is ended with it.
  {
    ccomp::nccl_group group(comms);
    nccl_sim::fail_next("ncclAllReduce", ncclInternalError);
    expect_text(error_of(sums), "nccl_error", "ncclAllReduce: internal error");
    CHECK(comms[0].get() != nullptr);
    expect_text(error_of([&] { group.end(); }), "communicator_error", "nccl_group::end");
  }
  CHECK(comms[0].get() == nullptr);
}
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 19, 0)
TEST_CASE("buffers from NCCL's allocator and their registration") {
  clean_sim const sim;
  nccl_communicator comm(nccl_communicator::unique_id(), 0, 1, 0);
  ccomp::nccl_memory memory(4096);
  CHECK(memory.bytes().size() == 4096);
  CHECK(nccl_sim::allocations() == 1);
  CHECK(ccomp::nccl_memory(0).bytes().empty());
  bool moved = false;
  {
    ccomp::nccl_registration first(comm, memory.bytes());
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    auto second = ccomp::nccl_registration::symmetric(comm, memory.bytes());
    CHECK(nccl_sim::calls("ncclCommWindowRegister") == 1);
#else
    ccomp::nccl_registration second(comm, memory.bytes());
#endif
    CHECK(nccl_sim::registrations() == 2);
    second = std::move(first);  // which ends the second's own
    CHECK(nccl_sim::registrations() == 1);
    ccomp::nccl_registration const nothing(comm, {});
    moved = true;
  }
  CHECK(moved);
  CHECK(nccl_sim::registrations() == 0);
  std::vector<std::byte> host(8);
  expect_text(error_of([&] { ccomp::nccl_registration(comm, host); }), "invalid_argument", "must be device memory");
  nccl_sim::fail_next("ncclCommRegister", ncclInvalidArgument);
  expect_text(error_of([&] { ccomp::nccl_registration(comm, memory.bytes()); }), "nccl_error", "ncclCommRegister");
  nccl_sim::fail_next("ncclMemAlloc", ncclUnhandledCudaError);
  expect_text(error_of([] { ccomp::nccl_memory(64); }), "nccl_error", "ncclMemAlloc: unhandled cuda error");
  ccomp::nccl_registration const late(comm, memory.bytes());
  {
    nccl_communicator const gone(std::move(comm));
  }
  memory = ccomp::nccl_memory(0);
  CHECK(nccl_sim::allocations() == 0);
}
#endif
