// Chains chosen at run time on the (simulated) GPU: the bytes of the typed chain, or one clear sentence.
#include <doctest/doctest.h>

#include <ccomp/any_compressor.cuh>
#include <ccomp/passes.cuh>
#include <support/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;
using support::device_array;

namespace {

using small = any_compressor_of<uniform_quantize<4>, hadamard_rotate, cast<bfloat16>, top_k>;

struct coded {
  std::vector<std::byte> payload;
  std::vector<float> residual, values;
};
template <class C> coded run(C const& c, std::vector<float> const& x) {
  cuda_exec const ex;
  workspace ws{ex};
  device_array<float> const in(x), rest(std::vector<float>(x.size(), 0.25f)), out(x.size());
  device_array<std::byte> const payload(payload_bytes(c, x.size()));
  std::span const bytes(payload.data(), payload.size());
  encode_feedback(ex, c, std::span<float const>(in.data(), x.size()), std::span(rest.data(), x.size()), bytes, ws);
  decode(ex, c, bytes, std::span(out.data(), x.size()), ws);
  ex.synchronize();
  return {payload.values(), rest.values(), out.values()};
}
bool operator==(coded const& a, coded const& b) {
  return a.payload == b.payload && a.residual == b.residual && a.values == b.values;
}

}  // namespace

TEST_CASE("cuda: run-time chains give the bytes of typed ones") {
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(run(small("hadamard_rotate(64) | uniform_quantize<4>"), x) ==
        run(hadamard_rotate{.block = 64} | uniform_quantize<4>{}, x));
  CHECK(run(small("top_k(0.1) | uniform_quantize<4>"), x) == run(top_k{.ratio = 0.1} | uniform_quantize<4>{}, x));
  CHECK(run(small("hadamard_rotate | cast<bfloat16>"), x) == run(hadamard_rotate{} | cast<bfloat16>{}, x));
}

TEST_CASE("cuda: run-time chains with a sparsifier") {
  using sparse = any_compressor_of<top_k, hadamard_rotate, cast<bfloat16>>;
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(run(sparse("top_k(0.1)"), x) == run(top_k{.ratio = 0.1}, x));
  CHECK(run(sparse("hadamard_rotate(64) | top_k(0.1) | cast<bfloat16>"), x) ==
        run(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1} | cast<bfloat16>{}, x));
}

TEST_CASE("cuda: a run-time chain with a stage that was not compiled says so") {
  cuda_exec const ex;
  workspace ws{ex};
  device_array<float> const in(64);
  device_array<std::byte> const payload(1024);
  std::size_t const launches = cudart_sim::count().launches;
  CHECK_THROWS_WITH_AS(encode(ex, small("uniform_quantize<5>"), std::span<float const>(in.data(), 64),
                              std::span(payload.data(), payload.size()), ws),
                       doctest::Contains("uniform_quantize<5> is not among the stages"), invalid_argument);
  CHECK(cudart_sim::count().launches == launches);
}
