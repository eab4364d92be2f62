// uniform_quantize on the (simulated) GPU.
#include <support/cuda/chain_checks.hpp>

#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::check_chain;

TEST_CASE("cuda: uniform codes of every width, range and rounding") {
  check_chain(uniform_quantize<1>{});
  check_chain(uniform_quantize<2>{.block = 16});
  check_chain(uniform_quantize<3>{.block = 64, .round = rounding::stochastic, .range = code_range::min_max});
  check_chain(uniform_quantize<4>{.round = rounding::stochastic, .seed = 3});
  check_chain(uniform_quantize<4>{.block = 128, .clip = 2.5f});
  check_chain(uniform_quantize<3>{.block = 64, .round = rounding::stochastic, .clip = 2});
  check_chain(uniform_quantize<5>{.block = 1024});
  check_chain(uniform_quantize<6>{.block = 128});
  check_chain(uniform_quantize<7>{.block = 2048});
  check_chain(uniform_quantize<8>{});
  check_chain(uniform_quantize<8>{.block = 4096, .range = code_range::min_max});
}
