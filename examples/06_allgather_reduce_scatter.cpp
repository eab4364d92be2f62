// A step of sharded training: gradients are summed so that each rank receives its shard, and the new weights of all
// shards are gathered.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

constexpr int ranks = 4;
constexpr std::size_t shard_values = 5'000, n = ranks * shard_values;

float gradient(std::size_t i, int rank) { return std::sin(0.01f * static_cast<float>(i) + static_cast<float>(rank)); }

}

int main() {
  std::vector<std::vector<float>> weights(ranks, std::vector<float>(n));

  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const rank = static_cast<std::size_t>(comm.rank());
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    std::vector<float> mine(n);
    for (std::size_t i = 0; i < n; ++i) mine[i] = gradient(i, comm.rank());
    // [sharded]
    std::vector<float> mean(shard_values), shard(shard_values, 1.0f);
    ccomp::reduce_scatter(ex, comm, ccomp::uniform_quantize<8>{}, mine, mean, ws,
                          {.op = ccomp::reduction::mean, .at = 1});

    for (std::size_t i = 0; i < shard.size(); ++i) shard[i] -= 0.1f * mean[i];

    ccomp::allgather(ex, comm, ccomp::cast<ccomp::bfloat16>{}, shard, weights[rank], ws, {.at = 1});
    // [/sharded]
  });

  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double mean = 0;
    for (int r = 0; r < ranks; ++r) mean += double(gradient(i, r)) / ranks;
    worst = std::max(worst, std::abs(double(weights[0][i]) - (1 - 0.1 * mean)));
  }
  bool same = true;
  for (auto const& w : weights) same = same && w == weights[0];
  // bfloat16 rounds numbers from 1 to 2 by up to 2^-8; 8 bits round gradients of up to 1 by up to 1/254.
  double const allowed = 0x1p-8 + 0.1 / 253;
  std::printf("weights are off by %.4f at most (allowed %.4f), %s on all ranks\n", worst, allowed,
              same ? "the same bits" : "OTHER BITS");
  return same && worst < allowed ? 0 : 1;
}
