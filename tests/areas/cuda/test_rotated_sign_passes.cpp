// sign_quantize behind a transform, on the (simulated) GPU.
#include <support/cuda/chain_checks.hpp>

#include <ccomp/quantize/sign.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: transforms before signs") {
  check_chain(hadamard_rotate{.block = 4096} | sign_quantize{.block = 128});
}
