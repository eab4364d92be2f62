// Four ranks: groups of two by split, in which tokens go to experts and back; then the stages of a pipeline, each a rank; and a
// root that hands out a batch and gathers what became of it.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

constexpr int ranks = 4;
constexpr std::size_t width = 2'000;  // values that one rank has for one expert

float token(std::size_t i, int rank) { return std::sin(0.01f * static_cast<float>(i) + static_cast<float>(rank)); }

}

int main() {
  double worst_expert = 0, worst_batch = 0;
  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    int const rank = comm.rank();
    // [experts]
    // Ranks 0 and 1 form one group, ranks 2 and 3 the other. Each rank is an expert of its group.
    auto pair = comm.split(rank / 2, rank);
    std::vector<float> tokens(2 * width), dispatched(2 * width), combined(2 * width);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = token(i, rank);
    ccomp::all_to_all(ex, *pair, ccomp::uniform_quantize<8>{}, tokens, dispatched, ws);

    float const factor = pair->rank() == 0 ? 2.0f : 3.0f;
    for (float& v : dispatched) v *= factor;

    ccomp::all_to_all(ex, *pair, ccomp::uniform_quantize<8>{}, dispatched, combined, ws);
    // [/experts]

    // [stages]
    // Rank 0 hands out a batch; from rank to rank, each stage adds its part; the last rank has the sum of all losses.
    std::vector<float> batch(rank == 0 ? ranks * width : 0, 1.0f), part(width), from_before(width), losses(width);
    ccomp::scatter_from(ex, comm, ccomp::cast<ccomp::bfloat16>{}, batch, part, 0, ws);
    if (rank > 0) {
      ccomp::receive(ex, comm, ccomp::uniform_quantize<8>{}, from_before, rank - 1, ws);
      for (std::size_t i = 0; i < width; ++i) part[i] += from_before[i];
    }
    if (rank + 1 < ranks) ccomp::send(ex, comm, ccomp::uniform_quantize<8>{}, part, rank + 1, ws);
    ccomp::reduce_to(ex, comm, ccomp::uniform_quantize<8>{}, part, losses, ranks - 1, ws,
                     {.op = ccomp::reduction::sum});
    // [/stages]
    if (rank == 3)
      for (float const v : losses) worst_batch = std::max(worst_batch, std::abs(double(v) - (1 + 2 + 3 + 4)));
    if (rank == 0)
      for (std::size_t i = 0; i < tokens.size(); ++i)
        worst_expert = std::max(worst_expert, std::abs(double(combined[i]) - (i < width ? 2.0 : 3.0) * tokens[i]));
  });
  // 8 bits round values of up to 1 by up to 1/254 on the way there, and three times that on the way back.
  bool const good = worst_expert < 2 * 3.0 / 253 && worst_batch < 0.05;
  std::printf("tokens are off by %.4f at most, losses by %.4f\n", worst_expert, worst_batch);
  return good ? 0 : 1;
}
