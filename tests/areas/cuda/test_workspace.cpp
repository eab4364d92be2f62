// What a workspace on a GPU promises: graphs stay valid when it grows, calls of a known size allocate nothing, streams
// do not interfere, and a step in device memory gives a replayed graph fresh bits.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/generators.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/exec/cuda_elements.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace ccomp;
using support::device_array;

namespace {

class stream_and_graph {
 public:
  stream_and_graph() { REQUIRE(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) == cudaSuccess); }
  ~stream_and_graph() {
    if (ready_) CHECK(cudaGraphExecDestroy(ready_) == cudaSuccess);
    CHECK(cudaStreamDestroy(stream_) == cudaSuccess);
  }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  template <class F> void record(F const& f) {
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    f();
    REQUIRE(cudaStreamEndCapture(stream_, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&ready_, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  }
  void launch() {
    REQUIRE(cudaGraphLaunch(ready_, stream_) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(stream_) == cudaSuccess);
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t ready_ = nullptr;
};

void fill(cuda_exec const& ex, std::span<std::byte> bytes, int value) {
  REQUIRE(cudaMemsetAsync(bytes.data(), value, bytes.size(), ex.stream()) == cudaSuccess);
}

}  // namespace

TEST_CASE("cuda workspace: growing keeps the memory of recorded graphs until release") {
  std::size_t const before = cudart_sim::live_allocations();
  {
    stream_and_graph g;
    cuda_exec const ex(g.stream());
    {
      workspace ws{ex};
      device_array<std::byte> const seen(64);
      CHECK(ws.reserve(64).size() == 64);
      g.record([&] {  // a graph that uses what the workspace lent it
        auto const lent = ws.reserve(64);
        fill(ex, lent, 7);
        ex.copy(seen.data(), lent.data(), 64);
      });
      CHECK(ws.reserve(4096).size() >= 4096);
      CHECK(ws.size_for_graphs() == 64);
      g.launch();  // under AddressSanitizer memory given back would be found here
      CHECK(seen.values() == std::vector<std::byte>(64, std::byte{7}));
      CHECK(ws.reserve(8192).size() >= 8192);  // no graph was recorded with the block before this one
      CHECK(ws.size_for_graphs() == 64);
      ws.release();
      CHECK(ws.size() == 0);
      CHECK(ws.size_for_graphs() == 0);
    }
    ex.synchronize();
  }
  CHECK(cudart_sim::live_allocations() == before);
}

TEST_CASE("cuda workspace: lent memory is used as it is, and never outgrown") {
  cuda_exec const ex;
  device_array<std::byte> const memory(256);
  workspace ws{ex, std::span(memory.data() + 1, 200)};
  auto const part = ws.reserve(100);
  CHECK(reinterpret_cast<std::uintptr_t>(part.data()) % 16 == 0);
  CHECK_THROWS_WITH_AS(static_cast<void>(ws.reserve(200)), doctest::Contains("the lent buffer has 200 bytes"),
                       invalid_argument);
  workspace moved = std::move(ws);
  CHECK(moved.reserve(100).data() == part.data());
  moved.release();
  CHECK(moved.reserve(100).data() == part.data());  // lent memory is not its to give back
}

TEST_CASE("cuda workspace: what only a first call makes is refused while the stream records") {
  stream_and_graph g;
  cuda_exec const ex(g.stream());
  struct handle {
    explicit handle(cuda_exec const& where) : device(where.device()) {}
    int device;
  };
  workspace ws{ex}, other{ex};
  auto& kept = ws.kept<handle>();
  g.record([&] {
    CHECK(&ws.kept<handle>() == &kept);
    CHECK_THROWS_WITH_AS(other.kept<handle>(), doctest::Contains("make one call of this kind before"),
                         invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(other.status()), invalid_argument);
    CHECK_THROWS_WITH_AS(static_cast<void>(other.reserve(10)),
                         doctest::Contains("the workspace has 0 bytes and the call needs 10"), invalid_argument);
  });
}

TEST_CASE("cuda workspace: a step in device memory gives every replay fresh bits, those of the step") {
  stream_and_graph g;
  cuda_exec const ex(g.stream());
  uniform_quantize<4> const c{.round = rounding::stochastic};
  std::size_t const n = 3000, bytes = payload_bytes(c, n);
  auto const x = support::same_gaussian_values(n, 1);
  device_array<float> const in(x);
  device_array<std::byte> const payload(bytes), expected(bytes);
  device_array<std::uint64_t> const counter(std::vector<std::uint64_t>{41});
  workspace ws{ex};
  std::span<float const> const values(in.data(), n);
  g.record([&] {
    encode(ex, c, values, std::span(payload.data(), bytes), ws, {.at = step::from_device(counter.data()), .tensor = 2});
  });
  std::vector<std::byte> last;
  for (std::uint64_t t : {41ull, 42ull, 43ull}) {
    ex.copy_from_host(counter.data(), &t, sizeof t);
    g.launch();
    encode(ex, c, values, std::span(expected.data(), bytes), ws, {.at = t, .tensor = 2});
    ex.synchronize();
    CHECK(payload.values() == expected.values());
    CHECK(payload.values() != last);
    last = payload.values();
  }
  // The host cannot read it.
  workspace host_ws{host_exec{}};
  std::vector<float> y(n);
  std::vector<float> storage(bytes / 4 + 4);
  CHECK_THROWS_WITH_AS(encode(host_exec{}, c, x, std::as_writable_bytes(std::span(storage)), host_ws,
                              {.at = step::from_device(counter.data())}),
                       doctest::Contains("a step in device memory needs a cuda_exec"), invalid_argument);
}

namespace {

template <class C> void check_two_streams(C const& c, std::size_t scratch) {
  stream_and_graph a, b;
  std::size_t const n = 20000, bytes = payload_bytes(c, n);
  device_array<float> const in_a(std::vector<float>(n, 127.0f)), in_b(std::vector<float>(n, -12.7f));
  device_array<std::byte> const first(bytes), second(bytes);
  device_array<float> const out_a(n), out_b(n);
  cuda_exec const ex_a(a.stream()), ex_b(b.stream());
  workspace ws_a{ex_a}, ws_b{ex_b};
  cudart_sim::hold_stream hold(a.stream());
  encode(ex_a, c, std::span<float const>(in_a.data(), n), std::span(first.data(), bytes), ws_a);
  decode(ex_a, c, std::span<std::byte const>(first.data(), bytes), std::span(out_a.data(), n), ws_a);
  encode(ex_b, c, std::span<float const>(in_b.data(), n), std::span(second.data(), bytes), ws_b);
  decode(ex_b, c, std::span<std::byte const>(second.data(), bytes), std::span(out_b.data(), n), ws_b);
  ex_b.synchronize();  // while the other stream has done nothing
  CHECK(out_b.values()[5] == doctest::Approx(-12.7f));
  hold.release();
  ex_a.synchronize();
  CHECK(out_a.values()[5] == 127.0f);
  CHECK((ws_a.size() >= scratch && ws_b.size() >= scratch));
}

}  // namespace

TEST_CASE("cuda workspace: two streams with a workspace each do not interfere") {
  check_two_streams(uniform_quantize<8>{}, 0);
  check_two_streams(top_k{.ratio = 0.5}, 20000);
}

TEST_CASE("cuda workspace: calls on another stream than its own are refused") {
  stream_and_graph a, b;
  uniform_quantize<8> const c;
  device_array<float> const in(64);
  device_array<std::byte> const payload(payload_bytes(c, 64));
  cuda_exec const ex_a(a.stream()), ex_b(b.stream());
  workspace ws{ex_a};
  CHECK_THROWS_WITH_AS(
      encode(ex_b, c, std::span<float const>(in.data(), 64), std::span(payload.data(), payload.size()), ws),
      doctest::Contains("encode: the workspace belongs to stream "), invalid_argument);
}

TEST_CASE("cuda workspace: one that goes while its stream records leaves the graph as it is") {
  stream_and_graph g;
  cuda_exec const ex(g.stream());
  device_array<std::byte> const x(64);
  auto ws = std::make_unique<workspace<cuda_exec>>(ex);
  static_cast<void>(ws->reserve(64));
  static_cast<void>(ws->status());
  ex.synchronize();
  g.record([&] {
    fill(ex, {x.data(), 64}, 3);
    ws.reset();
  });
  for (int i = 0; i < 2; ++i) g.launch();
  CHECK(x.values() == std::vector<std::byte>(64, std::byte{3}));
}

TEST_CASE("cuda: CUDA's own half types are elements") {
  std::size_t const n = 700;
  uniform_quantize<8> const c;
  auto const halves = support::narrowed<float16>(support::same_gaussian_values(n, 2));
  auto const brains = support::narrowed<bfloat16>(support::same_gaussian_values(n, 3));
  cuda_exec const ex;
  workspace ws{ex};
  auto const check = [&]<class Own, class Cuda>(std::vector<Own> const& x, Cuda const*) {
    static_assert(element_type_of<Own> == element_type_of<Cuda>);
    device_array<Own> const in(x), out(n), same_out(n);
    std::size_t const bytes = payload_bytes<Cuda>(c, n);
    device_array<std::byte> const a(bytes), b(bytes);
    std::span const pa(a.data(), bytes), pb(b.data(), bytes);
    encode(ex, c, std::span(reinterpret_cast<Cuda const*>(in.data()), n), pa, ws);
    encode(ex, c, std::span<Own const>(in.data(), n), pb, ws);
    decode(ex, c, pa, std::span(reinterpret_cast<Cuda*>(out.data()), n), ws);
    decode(ex, c, pb, std::span(same_out.data(), n), ws);
    ex.synchronize();
    CHECK(a.values() == b.values());
    CHECK(out.values() == same_out.values());
  };
  check(halves, static_cast<__half const*>(nullptr));
  check(brains, static_cast<__nv_bfloat16 const*>(nullptr));
}
