// Chains chosen at run time on the (simulated) GPU: the host's bytes, or one clear sentence.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/run_time_chain.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/any_compressor.cuh>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

using few_blocks = any_compressor_of<natural, hadamard_rotate, cast<bfloat16>>;

}  // namespace

TEST_CASE("cuda: run-time chains give the host's bytes") {
  auto const x = support::same_gaussian_values(3000, 8);
  for (char const* const text : {"hadamard_rotate(64) | natural", "hadamard_rotate | cast<bfloat16>"}) {
    CAPTURE(text);
    CHECK(support::code_on_gpu(few_blocks(text), x) == support::code_on_host(few_blocks(text), x));
  }
}

#if !defined(__CUDACC__)  // nvcc takes minutes for the typed chains beside the others, and for uniform_quantize
TEST_CASE("cuda: run-time chains give the bytes of typed ones") {
  using with_uniform = any_compressor_of<uniform_quantize<4>, hadamard_rotate, cast<bfloat16>>;
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(support::code_on_gpu(with_uniform("hadamard_rotate(64) | uniform_quantize<4>"), x) ==
        support::code_on_gpu(hadamard_rotate{.block = 64} | uniform_quantize<4>{}, x));
  CHECK(support::code_on_gpu(with_uniform("hadamard_rotate | cast<bfloat16>"), x) ==
        support::code_on_gpu(hadamard_rotate{} | cast<bfloat16>{}, x));
}
#endif

TEST_CASE("cuda: a run-time chain with a stage that was not compiled says so") {
  std::size_t const launches = cudart_sim::count().launches;
  CHECK_THROWS_WITH_AS(support::code_on_gpu(few_blocks(uniform_quantize<5>{}), std::vector<float>(64)),
                       doctest::Contains("uniform_quantize<5> is not among the stages"), invalid_argument);
  CHECK(cudart_sim::count().launches == launches);
}
