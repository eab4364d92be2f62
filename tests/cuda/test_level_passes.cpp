// Quantizers with uneven or clipped levels, on the (simulated) GPU.
#include <doctest/doctest.h>

#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <support/cuda/chain_checks.hpp>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: levels of qsgd, natural and ternary are the host's") {
  check_chain(qsgd<4>{.block = 32, .norm = level_norm::l2});
  check_chain(natural{});
  check_chain(ternary{});
  check_chain(ternary{.block = 2048});
}
