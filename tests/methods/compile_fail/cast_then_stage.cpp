// expect: a quantizer or cast ends its chain
#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

auto const wrong = ccomp::hadamard_rotate{} | ccomp::cast<ccomp::float16>{} | ccomp::uniform_quantize<8>{};
