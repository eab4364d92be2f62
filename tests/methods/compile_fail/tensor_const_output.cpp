// expect: ccomp: a tensor that is written is a contiguous range of float, float16 or bfloat16 that is not const
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <vector>

void call(std::vector<float> const& x, std::span<std::byte const> payload, ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::decode({}, ccomp::uniform_quantize<8>{}, payload, x, ws);
}
