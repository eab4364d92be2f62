// Casts, raw values and transforms before them on the (simulated) GPU.
#include <support/cuda/chain_checks.hpp>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: casts and raw values") {
  check_chain(cast<bfloat16>{});
  check_chain(cast<float16>{});
  check_chain(cast<fp8_e4m3>{});
  check_chain(cast<fp8_e5m2>{.block = 32});
  check_chain(sign_flip{});
  check_chain(scale{.factor = 0.5f} | cast<float16>{});
}

TEST_CASE("cuda: transforms before a cast and alone") {
  check_chain(hadamard_rotate{.block = 2048} | cast<bfloat16>{});
  check_chain(hadamard_rotate{.block = 64, .seed = 9} | sign_flip{.seed = 2} | cast<bfloat16>{});
  check_chain(sign_flip{} | hadamard_rotate{.block = 256} | scale{.factor = -3.0f});
}
