// expect: a quantizer or cast ends its chain: it leaves no values for a following stage to.*code
#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

auto const wrong = ccomp::uniform_quantize<8>{} | ccomp::top_k{};
