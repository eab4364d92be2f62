// Stages make chains: as types joined by `|`, or as text known only when the program runs. Both give the same bytes.
#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

template <class C> std::vector<std::byte> frame_of(C const& compressor, std::vector<float> const& values) {
  ccomp::workspace ws{ccomp::host_exec{}};
  std::vector<std::byte> frame(ccomp::max_compressed_bytes<float>(compressor, values.size()));
  frame.resize(ccomp::compress({}, compressor, values, frame, ws));
  return frame;
}

}

int main() {
  std::mt19937 engine(2);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(50'000);
  for (float& g : gradient) g = normal(engine);

  // [chains]
  auto const sparse = ccomp::top_k{.ratio = 0.01} | ccomp::uniform_quantize<8>{};
  auto const rotated = ccomp::hadamard_rotate{.seed = 42} | ccomp::uniform_quantize<4>{.block = 1024};
  ccomp::any_compressor const read("top_k(0.01) | uniform_quantize<8>");  // from a configuration file, say
  // [/chains]

  auto const typed_bytes = frame_of(sparse, gradient), text_bytes = frame_of(read, gradient);
  std::printf("%-50s %6zu bytes\n", ccomp::text(sparse).c_str(), typed_bytes.size());
  std::printf("%-50s %6zu bytes\n", ccomp::text(rotated).c_str(), frame_of(rotated, gradient).size());

  // [errors]
  std::string why;
  try {
    ccomp::any_compressor const misspelt("topk(0.01)");
  } catch (ccomp::invalid_argument const& e) {
    why = e.what();  // one sentence, with the names that are known
  }
  // [/errors]
  std::printf("%s\n", why.c_str());

  bool const same = typed_bytes == text_bytes && ccomp::fingerprint(sparse) == ccomp::fingerprint(read);
  return same && why.find("top_k") != std::string::npos ? 0 : 1;
}
