// Chains chosen at run time with a sparsifier among their stages: apart from the others, as nvcc takes long for either.
#include <support/cuda/run_time_chain.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/any_compressor.cuh>

#include <doctest/doctest.h>

using namespace ccomp;

TEST_CASE("cuda: run-time chains with a sparsifier give the host's bytes") {
  using few = any_compressor_of<top_k, hadamard_rotate, cast<bfloat16>>;
  auto const x = support::same_gaussian_values(3000, 8);
  for (char const* const text :
       {"top_k(0.1)", "top_k(0.1) | cast<bfloat16>", "hadamard_rotate(64) | top_k(0.1) | cast<bfloat16>"}) {
    CAPTURE(text);
    CHECK(support::code_on_gpu(few(text), x) == support::code_on_host(few(text), x));
  }
}

#if !defined(__CUDACC__)  // nvcc takes minutes for the typed chains beside the others
TEST_CASE("cuda: run-time chains with a sparsifier give the bytes of typed ones") {
  using few = any_compressor_of<top_k, hadamard_rotate, natural>;
  auto const x = support::same_gaussian_values(3000, 8);
  CHECK(support::code_on_gpu(few("top_k(0.1)"), x) == support::code_on_gpu(top_k{.ratio = 0.1}, x));
  CHECK(support::code_on_gpu(few("top_k(0.1) | natural"), x) ==
        support::code_on_gpu(top_k{.ratio = 0.1} | natural{}, x));
  CHECK(support::code_on_gpu(few("hadamard_rotate(64) | top_k(0.1) | natural"), x) ==
        support::code_on_gpu(hadamard_rotate{.block = 64} | top_k{.ratio = 0.1} | natural{}, x));
  CHECK(support::code_on_gpu(few("hadamard_rotate(64) | natural"), x) ==
        support::code_on_gpu(hadamard_rotate{.block = 64} | natural{}, x));
}
#endif
