// What a GPU and its runtime do and a CPU does not: other NaNs, errors that stay until somebody asks, words that lie across
// a bus, streams that are gone or record, kernels that are loaded late. The simulator is taught each of them.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>
#include <support/ranks.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/error_feedback.hpp>
#include <ccomp/load_kernels.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace ccomp;
using support::device_array;
using support::own_stream;

namespace {

std::string last_error() { return cudaGetErrorName(cudaGetLastError()); }

/// An encode of 8-bit codes, again and again.
class coding {
 public:
  explicit coding(cudaStream_t s, std::size_t n = 3000)
      : ex_(s), in_(support::same_gaussian_values(n, 1)), payload_(payload_bytes(chain, n)) {}
  void operator()(workspace<cuda_exec>& ws) const {
    encode(ex_, chain, std::span<float const>(in_.data(), in_.size()), payload_.span(), ws);
  }
  [[nodiscard]] std::vector<std::byte> payload() const { return payload_.values(); }

  static constexpr auto chain = top_k{.ratio = 0.5} | uniform_quantize<8>{};

 private:
  cuda_exec ex_;
  device_array<float> in_;
  device_array<std::byte> payload_;
};

/// As many ranks as it likes, all but one of which send bytes of another call.
struct strange_ranks {
  [[nodiscard]] static int rank() { return 0; }
  [[nodiscard]] static int size() { return 70; }
  static void all_gather(cuda_exec const& ex, std::span<std::byte const>, std::span<std::byte> receive) {
    REQUIRE(cudaMemsetAsync(receive.data(), 0x5a, receive.size(), ex.stream()) == cudaSuccess);
  }
};

CCOMP_KERNEL report(detail::device_status* status, detail::other_call_report r) {
  detail::report_other_call(status, r);
}

std::size_t nodes_of(cudaGraph_t graph) {
  std::size_t count = 0;
  REQUIRE(cudaGraphGetNodes(graph, nullptr, &count) == cudaSuccess);
  return count;
}

}  // namespace

TEST_CASE("hazards: NaN and Inf of a collective have the host's bits, though a GPU's arithmetic makes other NaNs") {
  constexpr int ranks = 2;
  constexpr std::size_t n = 700;
  support::per_rank<float> in;
  for (unsigned r = 0; r < ranks; ++r) in.push_back(support::same_gaussian_values(n, 5 + r));
  in[0][5] = support::quiet_nan;
  in[0][6] = support::inf;
  in[1][6] = -support::inf;
  in[1][7] = support::inf;
  in[0][300] = in[1][300] = 3e38f;
  auto const check = [&]<class T>(T, auto const& c, auto strategy) {
    for (auto const op : {reduction::sum, reduction::mean}) {
      std::vector<T> host, gpu;
      thread_group group(ranks);
      allreduce_options const options{.op = op, .at = 3};
      auto const mine = [&](thread_communicator const& comm) {
        std::vector<T> x;
        for (float const v : in[static_cast<std::size_t>(comm.rank())]) x.push_back(T(v));
        return x;
      };
      group.run([&](thread_communicator& comm) {
        host_exec const ex{1};
        workspace ws{ex};
        auto x = mine(comm);
        allreduce(ex, comm, c, std::span(x), ws, options, strategy);
        if (comm.rank() == 0) host = x;
      });
      group.run([&](thread_communicator& comm) {
        own_stream const stream;
        cuda_exec const ex(stream.get());
        workspace ws{ex};
        device_array<T> const x(mine(comm));
        allreduce(ex, comm, c, x.span(), ws, options, strategy);
        ex.synchronize();
        if (comm.rank() == 0) gpu = x.values();
      });
      CAPTURE(text(c));
      CAPTURE(static_cast<int>(op));
      CHECK(std::ranges::equal(std::as_bytes(std::span(host)), std::as_bytes(std::span(gpu))));
    }
  };
  check(0.0f, cast<float16>{}, in_flight{});
  check(float16{}, cast<float16>{}, in_flight{});
  check(bfloat16{}, cast<float16>{}, in_flight{});
  check(0.0f, cast<float16>{}, gather{});
  check(0.0f, cast<float16>{}, two_shot{});
  check(0.0f, scale{.factor = 0.5f} | cast<float16>{}, in_flight{});
  check(0.0f, random_k{.ratio = 0.5} | cast<float16>{}, in_flight{});
  check(0.0f, scale{.factor = 8e37f}, in_flight{});
  check(0.0f, top_k{.ratio = 0.5}, gather{});
}

TEST_CASE("hazards: an error of the caller's own is not blamed on the next call, nor taken from him") {
  own_stream const stream, polled;
  cuda_exec const ex(stream.get());
  workspace ws{ex};
  coding const code(stream.get());
  code(ws);
  cudart_sim::hold_stream const held(polled.get());
  REQUIRE(cudaLaunchHostFunc(polled.get(), [](void*) {}, nullptr) == cudaSuccess);
  REQUIRE(cudaStreamQuery(polled.get()) == cudaErrorNotReady);
  CHECK_NOTHROW(code(ws));
  CHECK(last_error() == "cudaErrorNotReady");
  REQUIRE(cudaSetDevice(1 << 20) == cudaErrorInvalidDevice);
  CHECK_NOTHROW(code(ws));
  CHECK(last_error() == "cudaErrorInvalidDevice");
  CHECK(last_error() == "cudaSuccess");
}

TEST_CASE("hazards: a launch that fails says so, and a broken context surfaces in the next call") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  workspace ws{ex};
  coding const code(stream.get());
  code(ws);
  cudart_sim::fail_next("cudaLaunchKernel", cudaErrorLaunchOutOfResources);
  CHECK_THROWS_WITH_AS(code(ws), doctest::Contains("cudaErrorLaunchOutOfResources"), cuda_error);
  CHECK(last_error() == "cudaSuccess");
  code(ws);
  cudart_sim::break_context(cudaErrorIllegalAddress);
  CHECK_THROWS_WITH_AS(code(ws), doctest::Contains("cudaErrorIllegalAddress"), cuda_error);
  CHECK(last_error() == "cudaSuccess");  // it was thrown; the context says it again at every call
  cudart_sim::break_context(cudaSuccess);
  ex.synchronize();
}

TEST_CASE("hazards: what destructors cannot do leaves no error behind") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  device_array<float> const x(std::vector<float>(100, 1.0f));
  auto const fails = [&](std::initializer_list<char const*> calls, auto const& make) {
    auto made = make();
    ex.synchronize();
    REQUIRE(last_error() == "cudaSuccess");
    for (auto const* const call : calls) cudart_sim::fail_next(call, cudaErrorUnknown);
    made.reset();
    CHECK(last_error() == "cudaSuccess");
  };
  fails({"cudaFreeAsync", "cudaStreamWaitEvent", "cudaStreamWaitEvent", "cudaLaunchHostFunc", "cudaEventDestroy"}, [&] {
    auto ws = std::make_unique<workspace<cuda_exec>>(ex);
    static_cast<void>(ws->reserve(1000));
    static_cast<void>(ws->status());
    return ws;
  });
  fails({"cudaFreeAsync", "cudaStreamWaitEvent"},
        [&] { return std::make_unique<error_feedback<top_k, cuda_exec>>(top_k{.ratio = 0.1}, 1000, ex); });
  thread_group group(1);
  fails({"cudaFreeAsync", "cudaStreamWaitEvent", "cudaEventDestroy", "cudaEventDestroy", "cudaStreamDestroy"}, [&] {
    auto comm = std::make_unique<thread_communicator>(group, 0);
    comm->all_reduce(ex, x.data(), x.size(), wire_type::float32, wire_op::sum);
    return comm;
  });
}

TEST_CASE("hazards: thousands of bad indices are one write to the host's memory") {
  cuda_exec const ex;
  for (auto const coding : {index_coding::raw, index_coding::packed, index_coding::bitmap})
    for (std::size_t const n : {3000u, 50'000u}) {
      CAPTURE(n);
      top_k const c{.ratio = 0.25, .indices = coding};
      workspace ws{ex};
      device_array<std::byte> const payload(std::vector<std::byte>(payload_bytes(c, n), std::byte{0xff}));
      device_array<float> const out(n);
      auto const before = cudart_sim::count().host_writes;
      decode(ex, c, std::span<std::byte const>(payload.data(), payload.size()), out.span(), ws);
      ex.synchronize();
      CHECK(cudart_sim::count().host_writes == before + 1);
      CHECK_THROWS_AS(ws.check(), payload_error);
      CHECK_NOTHROW(ws.check());
    }
}

TEST_CASE("hazards: of many slots of other calls one is reported, once, and the next one after it was taken") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  workspace ws{ex};
  strange_ranks ranks;
  device_array<float> const x(300);
  for (int i = 0; i < 2; ++i) {
    auto const before = cudart_sim::count().host_writes;
    allreduce(ex, ranks, uniform_quantize<8>{}, x.span(), ws, {}, gather{});
    ex.synchronize();
    CHECK(cudart_sim::count().host_writes == before + 2);  // to claim it, and to say that it is written
    CHECK_THROWS_WITH_AS(ws.check(), doctest::Contains("rank 0 sent bytes of another call"), rank_mismatch);
    CHECK_NOTHROW(ws.check());
  }
  auto* const status = ws.status();
  for (unsigned r = 1; r < 4; ++r)
    detail::launch(ex, "report", report<>, dim3(1), 1, status, detail::other_call_report{.rank = r});
  ex.synchronize();
  CHECK(status->take_other_call()->rank == 1);
  CHECK_FALSE(status->take_other_call().has_value());
  detail::launch(ex, "report", report<>, dim3(1), 1, status, detail::other_call_report{.rank = 9});
  ex.synchronize();
  CHECK(status->take_other_call()->rank == 9);
}

TEST_CASE("hazards: a stream may go before what was used on it, with its work still queued") {
  auto const live = cudart_sim::live_allocations();
  cudaStream_t s = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking) == cudaSuccess);
  {
    cuda_exec const ex(s);
    coding const code(s);
    workspace ws{ex}, unused{ex}, grown{ex};
    error_feedback feedback{top_k{.ratio = 0.1}, 500, ex};
    feedback.scale(0.5f);
    auto const copy = feedback;
    thread_group group(1);
    thread_communicator comm(group, 0);
    device_array<float> const x(std::vector<float>(500, 1.0f));
    allreduce(ex, comm, feedback, x.span(), ws, {.at = 1});
    comm.all_reduce(ex, x.data(), x.size(), wire_type::float32, wire_op::sum);
    code(ws);
    CHECK(cudart_sim::pending() > 0);
    REQUIRE(cudaStreamDestroy(s) == cudaSuccess);
    auto const before = cudart_sim::count().host_syncs;
    {
      workspace const moved = std::move(ws);
      auto const also = std::move(feedback);
    }
    CHECK(cudart_sim::count().host_syncs == before);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);  // AddressSanitizer watches who comes first
    CHECK(last_error() == "cudaSuccess");
  }
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  auto const page = cudart_sim::live_allocations() - live;
  CHECK(page <= 1);  // of status words, which is never given back
}

TEST_CASE("hazards: what goes while its stream records stays out of the graph, and is freed") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  device_array<std::byte> const x(64);
  coding const code(stream.get());
  auto const live = cudart_sim::live_allocations();
  auto ws = std::make_unique<workspace<cuda_exec>>(ex);
  code(*ws);
  auto feedback = std::make_unique<error_feedback<top_k, cuda_exec>>(top_k{.ratio = 0.1}, 1000, ex);
  ex.synchronize();
  for (auto const mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeRelaxed}) {
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamBeginCapture(stream.get(), mode) == cudaSuccess);
    REQUIRE(cudaMemsetAsync(x.data(), 3, 64, stream.get()) == cudaSuccess);
    ws.reset();
    feedback.reset();
    REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
    CHECK(nodes_of(graph) == 1);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  }
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cudart_sim::live_allocations() <= live + 1);  // a page of status words
  CHECK(last_error() == "cudaSuccess");
}

TEST_CASE("hazards: memory of a workspace outlasts the graphs that were launched before it went") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  coding const code(stream.get());
  auto ws = std::make_unique<workspace<cuda_exec>>(ex);
  code(*ws);
  ex.synchronize();
  auto const right = code.payload();
  support::recorded_graph const graph(ex, [&] { code(*ws); });
  ex.synchronize();
  graph.launch();
  auto const queued = cudart_sim::pending();
  ws.reset();
  CHECK(cudart_sim::pending() > queued);  // the end of the memory waits
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(code.payload() == right);
}

TEST_CASE("hazards: a call that is refused while its stream records adds nothing to the graph") {
  own_stream const stream;
  cuda_exec const ex(stream.get());
  workspace ws{ex};
  coding const code(stream.get()), larger(stream.get(), 50'000);
  code(ws);
  ex.synchronize();
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK_THROWS_AS(larger(ws), invalid_argument);
  REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
  CHECK(nodes_of(graph) == 0);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
}

TEST_CASE("hazards: a wrapper's memory outlasts the calls that used it on another stream") {
  own_stream const stream, other;
  cuda_exec const ex(stream.get()), there(other.get());
  device_array<float> const x(std::vector<float>(5000, 1.0f));
  workspace ws{there};
  thread_group group(1);
  thread_communicator comm(group, 0);
  auto feedback = std::make_unique<error_feedback<top_k, cuda_exec>>(top_k{.ratio = 0.1}, 5000, ex);
  ex.synchronize();
  cudart_sim::hold_stream held(other.get());
  allreduce(there, comm, *feedback, x.span(), ws, {.at = 1});
  auto const live = cudart_sim::live_allocations();
  feedback.reset();
  ex.synchronize();  // its own stream has nothing more to do
  CHECK(cudart_sim::live_allocations() == live);
  held.release();
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cudart_sim::live_allocations() < live);
  ws.check();
}

TEST_CASE("hazards: the legacy stream beside another stream's capture is refused, and that capture goes on") {
  cuda_exec const ex;
  coding const code(nullptr);
  auto ws = std::make_unique<workspace<cuda_exec>>(ex);
  auto feedback = std::make_unique<error_feedback<top_k, cuda_exec>>(top_k{.ratio = 0.1}, 1000, ex);
  code(*ws);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  cudaStream_t blocking = nullptr;
  REQUIRE(cudaStreamCreate(&blocking) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK_THROWS_WITH_AS(static_cast<void>(ex.capturing()), doctest::Contains("another stream records a graph"),
                       invalid_argument);
  CHECK_THROWS_WITH_AS(code(*ws), doctest::Contains("the default (legacy) stream cannot be used"), invalid_argument);
  ws->release();
  CHECK(ws->size() == 0);
  ws.reset();
  feedback.reset();
  CHECK(last_error() == "cudaSuccess");
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(blocking, &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaStreamDestroy(blocking) == cudaSuccess);
}

TEST_CASE("hazards: kernels that were loaded beforehand are not loaded by calls, and loading changes nothing") {
  constexpr std::size_t n = 20'000;
  auto const x = support::same_gaussian_values(n, 3);
  auto const check = [&](auto const& c, auto strategy, bool with_feedback) {
    CAPTURE(text(c));
    support::per_rank<float> plain(2), loaded(2);
    for (auto* const result : {&plain, &loaded}) {
      bool const load = result == &loaded;
      cudart_sim::begin_anew();
      std::size_t late = 0;
      thread_group group(2);
      group.run([&](thread_communicator& comm) {
        own_stream const stream;
        cuda_exec const ex(stream.get());
        workspace ws{ex};
        error_feedback feedback{c, n, ex};
        device_array<float> const data(x);
        auto const call = [&](auto& ranks) {
          allreduce_options const options{.op = reduction::sum, .at = 3};
          if (with_feedback)
            allreduce(ex, ranks, feedback, data.span(), ws, options, strategy);
          else
            allreduce(ex, ranks, c, data.span(), ws, options, strategy);
        };
        ex.synchronize();
        if (load) {
          auto const launches = cudart_sim::count().launches;
          if (comm.rank() == 0) load_kernels(ex, comm, call);
          CHECK((comm.rank() != 0 || cudart_sim::count().launches == launches));
        }
        comm.agree(1, nullptr, nullptr);
        if (comm.rank() == 0) late = cudart_sim::count().late_loads;
        comm.agree(2, nullptr, nullptr);
        call(comm);
        ex.synchronize();
        ws.check();
        (*result)[static_cast<std::size_t>(comm.rank())] = data.values();
        auto const residual = feedback.residual_copy();
        auto& all = (*result)[static_cast<std::size_t>(comm.rank())];
        all.insert(all.end(), residual.begin(), residual.end());
      });
      CHECK((cudart_sim::count().late_loads == late) == load);
    }
    CHECK(std::ranges::equal(std::as_bytes(std::span(plain[0])), std::as_bytes(std::span(loaded[0]))));
    CHECK(std::ranges::equal(std::as_bytes(std::span(plain[1])), std::as_bytes(std::span(loaded[1]))));
  };
  check(top_k{.ratio = 0.01} | uniform_quantize<8>{}, gather{}, true);
  check(uniform_quantize<8>{}, two_shot{}, true);
  check(cast<float16>{}, in_flight{}, false);

  cuda_exec const ex;
  workspace ws{ex};
  coding const code(nullptr);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  auto const launches = cudart_sim::count().launches;
  load_kernels(ex, [&] { code(ws); });
  CHECK(cudart_sim::count().launches == launches);
  ex.synchronize();
  CHECK(code.payload() == std::vector<std::byte>(code.payload().size()));
  auto const before = cudart_sim::count();
  code(ws);
  CHECK(cudart_sim::count().late_loads == before.late_loads);
  CHECK(cudart_sim::count().allocations == before.allocations);
}
