// Quantizers whose statistic is a sum, on the (simulated) GPU.
#include <doctest/doctest.h>

#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <support/cuda/chain_checks.hpp>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: statistics that are sums round as on the host") {
  check_chain(sign_quantize{});
  check_chain(sign_quantize{.block = 16});
  check_chain(sign_quantize{.block = 4096, .scale = sign_scale::two_means});
  check_chain(sign_quantize{.block = 256, .scale = sign_scale::l2});
  check_chain(hadamard_rotate{.block = 4096} | sign_quantize{.block = 128});
  check_chain(ternary{});
  check_chain(ternary{.block = 2048});
}
