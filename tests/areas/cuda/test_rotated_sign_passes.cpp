// sign_quantize behind a transform, on the (simulated) GPU.
#include <doctest/doctest.h>

#include <ccomp/quantize/sign.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <support/cuda/chain_checks.hpp>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: transforms before signs") {
  check_chain(hadamard_rotate{.block = 4096} | sign_quantize{.block = 128});
}
