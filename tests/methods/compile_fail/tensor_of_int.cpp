// expect: ccomp: a tensor is a contiguous range of float, float16 or bfloat16: a span, an array or a vector
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <vector>

void call(std::vector<int> const& x, std::span<std::byte> payload, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::encode({}, ccomp::uniform_quantize<8>{}, x, payload, ws);
}
