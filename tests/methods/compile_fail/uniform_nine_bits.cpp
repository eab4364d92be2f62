// expect: ccomp: uniform_quantize takes 1 to 8 bits
#include <ccomp/quantize/uniform.hpp>

ccomp::uniform_quantize<9> const wrong{};
