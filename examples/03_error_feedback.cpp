// What a compressor leaves out is kept and added to the next step, so that nothing is lost for good: the mean of T
// outputs comes as close to the input as 1 / T. Without feedback it never comes closer.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

namespace {

/// Relative error of the mean of `steps` outputs for an input that is the same in every step.
template <class C> double error_of_mean(C&& compressor, std::vector<float> const& gradient, int steps) {
  ccomp::host_exec const ex{};
  ccomp::workspace ws{ex};
  ccomp::self_communicator alone;  // a group of one: what comes out is what went through the compressor
  std::vector<double> sum(gradient.size());
  for (int step = 0; step < steps; ++step) {
    auto sent = gradient;
    ccomp::allreduce(ex, alone, compressor, sent, ws, {.at = step});
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += double(sent[i]);
  }
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    error += std::pow(sum[i] / steps - double(gradient[i]), 2);
    norm += std::pow(double(gradient[i]), 2);
  }
  return std::sqrt(error / norm);
}

}

int main() {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(10'000);
  for (float& g : gradient) g = normal(engine);

  auto const compressor = ccomp::top_k{.ratio = 0.01};
  // The residual of a contraction by 1 - c stays below 2 sqrt(1 - c) / c times the input (Karimireddy et al. 2019).
  double const contraction = compressor.contraction(gradient.size());
  double const most = 2 * std::sqrt(1 - contraction) / contraction;
  bool good = true;
  for (int const steps : {200, 400, 800}) {
    // [feedback]
    ccomp::error_feedback feedback{compressor, gradient.size()};
    double const with = error_of_mean(feedback, gradient, steps);
    double const without = error_of_mean(compressor, gradient, steps);
    // [/feedback]
    std::printf("%3d steps: relative error %.3f without feedback, %.3f with it, at most %.3f\n", steps, without, with,
                most / steps);
    good = good && with < most / steps && without > 0.9;
  }
  return good ? 0 : 1;
}
