// Chains chosen at run time on the (simulated) GPU: the bytes of the typed chain, or one clear sentence.
#include <doctest/doctest.h>

#include <ccomp/any_compressor.cuh>
#include <support/cuda/cudart_sim.hpp>
#include <support/cuda/run_time_chain.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;
using support::code_with_feedback;

namespace {

using few_blocks = any_compressor_of<uniform_quantize<4>, hadamard_rotate, cast<bfloat16>>;

}  // namespace

TEST_CASE("cuda: run-time chains give the bytes of typed ones") {
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(code_with_feedback(few_blocks("hadamard_rotate(64) | uniform_quantize<4>"), x) ==
        code_with_feedback(hadamard_rotate{.block = 64} | uniform_quantize<4>{}, x));
  CHECK(code_with_feedback(few_blocks("hadamard_rotate | cast<bfloat16>"), x) ==
        code_with_feedback(hadamard_rotate{} | cast<bfloat16>{}, x));
}

TEST_CASE("cuda: a run-time chain with a stage that was not compiled says so") {
  std::size_t const launches = cudart_sim::count().launches;
  CHECK_THROWS_WITH_AS(code_with_feedback(few_blocks("uniform_quantize<5>"), std::vector<float>(64)),
                       doctest::Contains("uniform_quantize<5> is not among the stages"), invalid_argument);
  CHECK(cudart_sim::count().launches == launches);
}
