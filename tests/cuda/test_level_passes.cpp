// Quantizers with uneven or many levels, on the (simulated) GPU.
#include <doctest/doctest.h>

#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <support/cuda/chain_checks.hpp>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: levels of qsgd and natural are the host's") {
  check_chain(qsgd<4>{.block = 32, .norm = level_norm::l2});
  check_chain(natural{});
}
