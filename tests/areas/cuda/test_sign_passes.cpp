// sign_quantize, whose statistics are sums, on the (simulated) GPU.
#include <support/cuda/chain_checks.hpp>

#include <ccomp/quantize/sign.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: statistics that are sums round as on the host") {
  check_chain(sign_quantize{});
  check_chain(sign_quantize{.block = 16});
  check_chain(sign_quantize{.block = 4096, .scale = sign_scale::two_means});
  check_chain(sign_quantize{.block = 256, .scale = sign_scale::l2});
}
