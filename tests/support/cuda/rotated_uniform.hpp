#pragma once
/// uniform_quantize behind transforms.

#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

namespace support {

template <class F> void with_rotated_uniforms(F const& f) {
  using namespace ccomp;
  f(hadamard_rotate{} | uniform_quantize<4>{});
  f(hadamard_rotate{.block = 4} | uniform_quantize<2>{.block = 16});
  f(hadamard_rotate{.block = 64, .seed = 9} | hadamard_rotate{.block = 16, .seed = 2} |
    uniform_quantize<8>{.round = rounding::stochastic});
}

}  // namespace support
