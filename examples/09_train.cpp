// Four ranks train one model, each on its own data. With one value in twenty sent, in 8 bits, and error feedback, the
// loss ends where it ends without compression; without feedback it does not.
#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <random>
#include <vector>

namespace {

constexpr int ranks = 4, steps = 400;
constexpr std::size_t features = 200, samples = 250;  // samples per rank

/// A linear model of noisy measurements: the best fit leaves the noise as loss.
struct shard {
  std::vector<float> x, y;
  explicit shard(int rank) : x(samples * features), y(samples) {
    std::mt19937 engine(static_cast<unsigned>(rank) + 100);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(engine);
    for (std::size_t s = 0; s < samples; ++s) {
      y[s] = normal(engine);
      for (std::size_t f = 0; f < features; ++f) y[s] += x[s * features + f] * (f % 10 == 0 ? 3.0f : 0.1f);
    }
  }
  /// Mean squared error; `gradient` receives its gradient.
  double loss(std::vector<float> const& w, std::vector<float>& gradient) const {
    double sum = 0;
    gradient.assign(features, 0.0f);
    for (std::size_t s = 0; s < samples; ++s) {
      float const* const row = x.data() + s * features;
      float error = -y[s];
      for (std::size_t f = 0; f < features; ++f) error += row[f] * w[f];
      for (std::size_t f = 0; f < features; ++f) gradient[f] += error * row[f] / samples;
      sum += double(error) * double(error) / samples;
    }
    return sum;
  }
};

/// The loss over all ranks after training with `compressor`, or with a wrapper made from it.
template <class Make> double train(Make const& make) {
  double losses[ranks] = {};
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    shard const data(comm.rank());
    std::vector<float> weights(features), gradient(features);
    auto compressor = make();
    for (int step = 0; step < steps; ++step) {
      data.loss(weights, gradient);
      ccomp::allreduce(ex, comm, compressor, gradient, ws, {.at = step});
      float const rate = step < steps / 2 ? 0.1f : 0.02f;
      for (std::size_t f = 0; f < features; ++f) weights[f] -= rate * gradient[f];
    }
    losses[comm.rank()] = data.loss(weights, gradient);
  });
  return (losses[0] + losses[1] + losses[2] + losses[3]) / ranks;
}

}

int main() {
  auto const sparse = ccomp::top_k{.ratio = 0.05} | ccomp::uniform_quantize<8>{};
  double const dense = train([] { return ccomp::scale{}; });  // a stage that changes nothing: float32 is summed
  double const alone = train([&] { return sparse; });
  double const feedback = train([&] { return ccomp::error_feedback{sparse, features}; });
  std::printf("loss: %.4f uncompressed, %.4f with %s, %.4f with error feedback\n", dense, alone,
              ccomp::text(sparse).c_str(), feedback);
  return feedback < 1.01 * dense && alone > 1.01 * dense ? 0 : 1;
}
