// A chain from text: every stage of the library is compiled.
#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <vector>
int main(int argc, char** argv) {
  ccomp::any_compressor const c{argc > 1 ? argv[1] : "top_k(0.01)|uniform_quantize<8>"};
  std::vector<float> g(1000, 1.0f), out(1000);
  ccomp::host_exec const ex{};
  ccomp::workspace ws{ex};
  std::vector<std::byte> frame(ccomp::max_compressed_bytes<float>(c, g.size()));
  frame.resize(ccomp::compress(ex, c, g, frame, ws, {.at = 7}));
  ccomp::decompress(ex, c, frame, out, ws);
  std::printf("%zu\n", frame.size());
}
