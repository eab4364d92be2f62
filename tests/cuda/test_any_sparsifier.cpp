// Chains chosen at run time with a sparsifier among their stages: apart from the others, as nvcc takes long for either.
#include <doctest/doctest.h>

#include <ccomp/any_compressor.cuh>
#include <support/cuda/run_time_chain.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;
using support::code_with_feedback;

TEST_CASE("cuda: run-time chains with a sparsifier give the bytes of typed ones") {
  using few = any_compressor_of<top_k, hadamard_rotate, natural>;
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(code_with_feedback(few("top_k(0.1)"), x) == code_with_feedback(top_k{.ratio = 0.1}, x));
  CHECK(code_with_feedback(few("top_k(0.1) | natural"), x) == code_with_feedback(top_k{.ratio = 0.1} | natural{}, x));
  CHECK(code_with_feedback(few("hadamard_rotate(64) | top_k(0.1) | natural"), x) ==
        code_with_feedback(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1} | natural{}, x));
  CHECK(code_with_feedback(few("hadamard_rotate(64) | natural"), x) ==
        code_with_feedback(hadamard_rotate{.block = 64} | natural{}, x));
}
