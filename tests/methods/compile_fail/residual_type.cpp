// expect: ccomp::encode_feedback: the residual is float or bfloat16
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

void call(std::span<float> x, std::span<double> residual, std::span<std::byte> payload,
          ccomp::workspace<ccomp::host_exec>& ws) {
  ccomp::encode_feedback({}, ccomp::uniform_quantize<8>{}, x, residual, payload, ws);
}
