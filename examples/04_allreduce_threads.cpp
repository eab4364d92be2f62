// The mean of four ranks' tensors, by every strategy. Ranks are threads of this process; every rank ends with the same
// bits.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int ranks = 4;
constexpr std::size_t n = 100'000;

std::vector<float> gradient_of(int rank) {
  std::mt19937 engine(static_cast<unsigned>(rank));
  std::normal_distribution<float> normal;
  std::vector<float> gradient(n);
  for (float& g : gradient) g = normal(engine);
  return gradient;
}

template <class C, class Strategy> bool mean_comes_out(C const& compressor, Strategy strategy, double allowed) {
  std::vector<std::vector<float>> result(ranks);
  ccomp::collective_report report;
  // [allreduce]
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{};  // the cores are shared between the ranks of a group
    ccomp::workspace ws{ex};
    auto tensor = gradient_of(comm.rank());
    auto const done = ccomp::allreduce(ex, comm, compressor, tensor, ws, {.op = ccomp::reduction::mean}, strategy);
    if (comm.rank() == 0) report = done;
    result[static_cast<std::size_t>(comm.rank())] = tensor;
  });
  // [/allreduce]
  double error = 0, norm = 0;
  std::vector<double> mean(n);
  for (int r = 0; r < ranks; ++r) {
    auto const gradient = gradient_of(r);
    for (std::size_t i = 0; i < n; ++i) mean[i] += double(gradient[i]) / ranks;
  }
  for (std::size_t i = 0; i < n; ++i) {
    error += std::pow(double(result[0][i]) - mean[i], 2);
    norm += std::pow(mean[i], 2);
  }
  bool same = true;
  for (auto const& r : result) same = same && r == result[0];
  std::printf("%-22s %-10s %7zu bytes sent, relative error %.4f%s\n", ccomp::text(compressor).c_str(),
              std::string(report.strategy).c_str(), report.bytes_sent, std::sqrt(error / norm),
              same ? "" : ", RANKS DIFFER");
  return same && std::sqrt(error / norm) < allowed;
}

}

int main() {
  ccomp::uniform_quantize<8> const eight_bits{};
  ccomp::cast<ccomp::bfloat16> const bf16{};
  bool good = mean_comes_out(eight_bits, ccomp::automatic{}, 0.02);  // sends fewer bytes: two_shot
  good = mean_comes_out(eight_bits, ccomp::gather{}, 0.01) && good;  // more bytes, one rounding less
  good = mean_comes_out(bf16, ccomp::in_flight{}, 0.01) && good;     // linear: the communicator adds the payloads
  return good ? 0 : 1;
}
