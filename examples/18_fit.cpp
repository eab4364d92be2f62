// Settings from data: a clip for a quantizer, the fewest bits for an error, and a budget of bits for a whole model.
#include <ccomp/ccomp.hpp>
#include <ccomp/fit.hpp>

#include <cstdio>
#include <random>
#include <vector>

namespace {

std::vector<float> gradient_like(std::size_t n, float deviation, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = normal(engine);
  return x;
}
void show(char const* what, ccomp::fitted_compressor const& f) {
  std::printf("%-14s %-32s %5.2f bits per value, error %.2g\n", what, f.text().c_str(), f.measured.bits_per_value(),
              f.measured.relative_error());
}

}

int main() {
  std::vector<std::vector<float>> history;  // the gradients of the last steps
  for (unsigned step = 0; step < 4; ++step) history.push_back(gradient_like(50'000, 0.01f, step));
  auto const embedding = gradient_like(80'000, 0.004f, 10), bias = gradient_like(500, 0.1f, 11);

  // [one]
  ccomp::host_exec const ex{};
  auto const clipped = ccomp::fit_clip(ex, history, "uniform_quantize<4>");              // the least squared error
  auto const within = ccomp::fit_percentile(ex, history, "uniform_quantize<4>", 0.999);  // 99.9 % keep to the clip
  auto const small = ccomp::fit_error_target(ex, history, 0.01);  // the fewest bits with |x - Q(x)|^2 <= 0.01 |x|^2
  // [/one]
  show("clip", clipped);
  show("percentile", within);
  show("error target", small);

  // [budget]
  std::vector<ccomp::fit_samples> const model{history, embedding, bias};
  auto const fitted = ccomp::fit_bit_budget(ex, model, 3.5);  // 3.5 bits per value in the mean over all tensors
  // [/budget]
  double bytes = 0, values = 0;
  for (auto const& f : fitted) {
    show("budget", f);
    bytes += static_cast<double>(f.measured.payload_bytes);
    values += static_cast<double>(f.measured.values);
  }

  // [use]
  ccomp::any_compressor const again(clipped.text());  // text from a configuration file gives the same bytes
  ccomp::workspace ws{ex};
  std::vector<std::byte> frame(ccomp::max_compressed_bytes<float>(again, history[0].size()));
  frame.resize(ccomp::compress(ex, again, history[0], frame, ws));
  // [/use]
  auto const unclipped = ccomp::measure_error(ex, history, ccomp::any_compressor("uniform_quantize<4>"));
  show("no clip", {ccomp::any_compressor("uniform_quantize<4>"), unclipped});
  bool const good = clipped.measured.squared_error < unclipped.squared_error && small.measured.relative_error() <= 0.01;
  return good && 8 * bytes <= 3.5 * values && frame.size() > 25'000 ? 0 : 1;
}
