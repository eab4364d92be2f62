// uniform_quantize behind transforms is encoded on the (simulated) GPU as on the host.
#include <support/cuda/chain_checks.hpp>
#include <support/cuda/rotated_uniform.hpp>

#include <doctest/doctest.h>

TEST_CASE("cuda: transforms before uniform codes, encoded") {
  support::with_rotated_uniforms([](auto const& c) { support::check_chain_encodes(c); });
}
