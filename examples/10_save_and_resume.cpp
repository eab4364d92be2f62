// A run that is stopped, saved and resumed gives the same bits as one that was never stopped.
#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

using compressor = ccomp::chain<ccomp::hadamard_rotate, ccomp::uniform_quantize<4>>;
using wrapper = ccomp::error_feedback<compressor>;
constexpr std::size_t n = 10'000;

/// Steps `from` to `to - 1`; returns the sum of all outputs.
std::vector<float> run(wrapper& feedback, int from, int to) {
  ccomp::workspace ws{ccomp::host_exec{}};
  ccomp::self_communicator alone;
  std::vector<float> total(n), gradient(n);
  for (int step = from; step < to; ++step) {
    std::mt19937 engine(static_cast<unsigned>(step));
    std::normal_distribution<float> normal;
    for (float& g : gradient) g = normal(engine);
    ccomp::allreduce({}, alone, feedback, gradient, ws, {.at = step});
    for (std::size_t i = 0; i < n; ++i) total[i] += gradient[i];
  }
  return total;
}

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return std::memcmp(a.data(), b.data(), n * sizeof(float)) == 0;
}

}

int main() {
  compressor const c = ccomp::hadamard_rotate{} | ccomp::uniform_quantize<4>{};
  wrapper whole{c, n};
  run(whole, 0, 10);
  auto const expected = run(whole, 10, 20);

  // [save]
  wrapper first{c, n};
  run(first, 0, 10);
  std::vector<std::byte> const saved = first.save();  // into a checkpoint, with the number of the next step

  wrapper resumed{c, n};
  resumed.load(saved);
  // [/save]
  bool good = same_bits(run(resumed, 10, 20), expected) && same_bits(resumed.residual_copy(), whole.residual_copy());

  std::string why;  // the bytes know what they belong to
  try {
    ccomp::error_feedback other{ccomp::hadamard_rotate{} | ccomp::uniform_quantize<3>{}, n};
    other.load(saved);
  } catch (ccomp::payload_error const& e) {
    why = e.what();
  }
  good = good && !why.empty();
  std::printf("%zu bytes saved; resumed run: %s\n%s\n", saved.size(), good ? "the same bits" : "OTHER BITS",
              why.c_str());
  return good ? 0 : 1;
}
