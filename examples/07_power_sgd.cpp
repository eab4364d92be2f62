// PowerSGD: a matrix goes as two thin factors. Needs Eigen (link ccomp::eigen); its header is not part of ccomp.hpp.
#include <ccomp/ccomp.hpp>
#include <ccomp/low_rank/power_sgd.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int ranks = 4;
constexpr std::size_t rows = 300, cols = 200;

/// A matrix of rank 4, the same on every rank but for a factor.
std::vector<float> gradient_of(int rank) {
  std::mt19937 engine(7);
  std::normal_distribution<float> normal;
  std::vector<float> left(rows * 4), right(4 * cols), gradient(rows * cols);
  for (float& v : left) v = normal(engine);
  for (float& v : right) v = normal(engine);
  for (std::size_t i = 0; i < rows * cols; ++i)
    for (std::size_t k = 0; k < 4; ++k)
      gradient[i] += left[i / cols * 4 + k] * right[k * cols + i % cols] * static_cast<float>(rank + 1);
  return gradient;
}

}

int main() {
  std::vector<std::vector<float>> result(ranks);
  ccomp::collective_report report;

  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    auto gradient = gradient_of(comm.rank());
    // [power_sgd]
    ccomp::error_feedback feedback{ccomp::power_sgd{.rank = 4, .rows = rows}, rows * cols};  // keeps Q between steps
    auto const done = ccomp::allreduce(ex, comm, feedback, gradient, ws, {.op = ccomp::reduction::mean, .at = 1});
    // [/power_sgd]
    if (comm.rank() == 0) report = done;
    result[static_cast<std::size_t>(comm.rank())] = gradient;
  });

  double error = 0, norm = 0;
  auto const one = gradient_of(0);
  for (std::size_t i = 0; i < one.size(); ++i) {
    double const mean = 2.5 * double(one[i]);  // of factors 1, 2, 3 and 4
    error += std::pow(double(result[0][i]) - mean, 2);
    norm += mean * mean;
  }
  bool same = true;
  for (auto const& r : result) same = same && r == result[0];
  std::printf("%s: %zu bytes sent for %zu, relative error %.1e, %s on all ranks\n",
              std::string(report.strategy).c_str(), report.bytes_sent, 4 * one.size(), std::sqrt(error / norm),
              same ? "the same bits" : "OTHER BITS");
  return same && std::sqrt(error / norm) < 1e-4 && report.bytes_sent < 4 * one.size() / 10 ? 0 : 1;
}
