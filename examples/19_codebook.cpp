// Trains the words of a vector quantizer on gradients, saves them, and compresses with them.
#include <ccomp/ccomp.hpp>
#include <ccomp/fit/train_codebook.hpp>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

int main() {
  // Gradients of two steps, in which neighbours resemble each other.
  std::mt19937 draw(1);
  std::normal_distribution<float> noise;
  std::vector<std::vector<float>> history(2, std::vector<float>(1 << 14));
  for (auto& gradient : history)
    for (std::size_t i = 1; i < gradient.size(); ++i) gradient[i] = 0.8f * gradient[i - 1] + noise(draw);

  std::string const file = "example_codebook.ccvq";
  // [train]
  auto trained = ccomp::train_codebook<4, 8>(ccomp::host_exec{}, history, {.iterations = 10});
  trained.codebook.save(file);
  ccomp::any_compressor const compressor("vector_quantize<4x8>(codebook=" + file + ")");
  // [/train]

  auto const& gradient = history[1];
  ccomp::host_exec const ex{};
  ccomp::workspace ws{ex};
  auto const error_of = [&](auto const& c) {
    std::vector<std::byte> payload(ccomp::payload_bytes<float>(c, gradient.size()));
    std::vector<float> back(gradient.size());
    ccomp::encode(ex, c, std::span(gradient), std::span(payload), ws);
    ccomp::decode(ex, c, std::span<std::byte const>(payload), std::span(back), ws);
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double const x = gradient[i], d = x - static_cast<double>(back[i]);
      error += d * d;
      norm += x * x;
    }
    return error / norm;
  };
  double const levels = error_of(ccomp::any_compressor("vector_quantize<4x8>")), words = error_of(compressor);
  std::printf("relative squared error at 2 bits per value: %.3f with levels, %.3f with trained words\n", levels, words);
  std::remove(file.c_str());
  return words < levels ? 0 : 1;
}
