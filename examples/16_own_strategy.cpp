// An allreduce by your own strategy (star.hpp): a value of it is the last argument.
#include "star.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

int main() {
  bool good = true;
  ccomp::uniform_quantize<8> const compressor;
  for (int const ranks : {1, 2, 3, 5}) {
    std::size_t const n = 10'007;
    std::vector<std::vector<float>> x(static_cast<std::size_t>(ranks), std::vector<float>(n));
    std::vector<double> exact(n);
    std::mt19937 engine(16);
    std::normal_distribution<float> normal;
    for (auto& rank : x)
      for (std::size_t i = 0; i < n; ++i) exact[i] += static_cast<double>(rank[i] = normal(engine)) / ranks;
    // [use]
    ccomp::thread_group(ranks).run([&](ccomp::thread_communicator& comm) {
      auto& mine = x[static_cast<std::size_t>(comm.rank())];
      ccomp::workspace ws{ccomp::host_exec{}};
      ccomp::error_feedback feedback{compressor, n};
      ccomp::allreduce(ccomp::host_exec{}, comm, feedback, mine, ws, {.at = 0}, mylab::star{});
    });
    // [/use]
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(static_cast<double>(x[0][i]) - exact[i]));
    for (auto const& rank : x) good = good && rank == x[0];
    good = good && worst < 0.05 * (ranks + 1);  // a scale is at most 5 / 127, rounded by half of one, twice
    std::printf("%d ranks: the largest error of the mean is %.4f\n", ranks, worst);
  }
  std::puts(good ? "all ranks have the same mean" : "WRONG");
  return good ? 0 : 1;
}
