#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/version.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

// Compresses and restores a small vector: enough to see that headers, language level and threads all arrive.
int main() {
  std::vector<float> const in(1000, 0.5f);
  std::vector<float> out(in.size());
  auto const compressor = ccomp::uniform_quantize<8>{};
  ccomp::host_exec const ex{.threads = 2};
  ccomp::workspace ws{ex};
  std::vector<std::byte> bytes(ccomp::payload_bytes<float>(compressor, in.size()));
  bytes.resize(ccomp::encode(ex, compressor, in, bytes, ws));
  ccomp::decode(ex, compressor, bytes, out, ws);
  std::printf("ccomp %s: %zu floats in %zu bytes\n", CCOMP_VERSION_STRING, in.size(), bytes.size());
  return std::abs(out[0] - in[0]) < 0.5f / 127 && out.back() == out[0] ? 0 : 1;
}
