// uniform_quantize behind transforms is decoded on the (simulated) GPU as on the host.
#include <support/cuda/chain_checks.hpp>
#include <support/cuda/rotated_uniform.hpp>

#include <doctest/doctest.h>

TEST_CASE("cuda: transforms before uniform codes, decoded") {
  support::with_rotated_uniforms([](auto const& c) { support::check_chain_decodes(c); });
}
