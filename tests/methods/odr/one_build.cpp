#include "one_build.hpp"

#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <typeinfo>

namespace odr::CCOMP_TEST_BUILD {

outcome run() {
  std::vector<float> in(10'000);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>((i * 7919) % 2003) * 0.001f - 1.0f;

  auto const compressor = ccomp::uniform_quantize<4>{.round = ccomp::rounding::stochastic};
  ccomp::host_exec const ex{.threads = 2};
  ccomp::workspace ws{ex};
  outcome result;
  result.bytes.resize(ccomp::payload_bytes<float>(compressor, in.size()));
  result.bytes.resize(ccomp::encode(ex, compressor, in, result.bytes, ws, {.at = 1}));
  result.restored.resize(in.size());
  ccomp::decode(ex, compressor, result.bytes, result.restored, ws, {.at = 1});
  result.workspace_type = typeid(ws).name();
  return result;
}

}  // namespace odr::CCOMP_TEST_BUILD
