// Compresses a tensor into bytes that say what they are, and refuses bytes that are damaged.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

int main() {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(100'000);
  for (float& g : gradient) g = normal(engine);

  // [compress]
  ccomp::host_exec const ex{};  // all cores, the best instruction set of this CPU
  ccomp::workspace ws{ex};      // scratch memory: grows when a call needs more, and is kept
  ccomp::uniform_quantize<8> const compressor{};

  std::vector<std::byte> frame(ccomp::max_compressed_bytes<float>(compressor, gradient.size()));
  frame.resize(ccomp::compress(ex, compressor, gradient, frame, ws, {.at = 7}));

  ccomp::frame_info const info = ccomp::inspect(frame);  // needs no compressor
  std::vector<float> restored(info.n);
  ccomp::decompress(ex, compressor, frame, restored, ws);
  // [/compress]

  float worst = 0, top = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    worst = std::max(worst, std::abs(restored[i] - gradient[i]));
    top = std::max(top, std::abs(gradient[i]));
  }
  std::printf(
      "%zu values of step %llu in %zu bytes instead of %zu; the largest error is %.4f, the largest value %.4f\n",
      restored.size(), static_cast<unsigned long long>(info.at.number), frame.size(), 4 * gradient.size(),
      double(worst), double(top));

  frame[1000] ^= std::byte{1};  // one wrong bit
  bool refused = false;
  try {
    ccomp::decompress(ex, compressor, frame, restored, ws);
  } catch (ccomp::payload_error const& e) {
    refused = true;
    std::printf("refused: %s\n", e.what());
  }
  bool const close = worst <= top / 254 * 1.001f;  // half of one of 254 steps from -top to top
  return close && 4 * gradient.size() > 3 * frame.size() && refused ? 0 : 1;
}
