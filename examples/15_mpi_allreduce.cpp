// Ranks that are processes: the mean of gradients over MPI, 8 bits per value.
//   mpirun --oversubscribe -n 4 ccomp-example-15_mpi_allreduce
#include <ccomp/ccomp.hpp>
#include <ccomp/comm/mpi.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

int main() try {
  // [allreduce]
  ccomp::mpi_environment const mpi;  // MPI_Init_thread and MPI_Finalize
  ccomp::mpi_communicator comm(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(60)});

  std::size_t const n = 1'000'000;
  ccomp::host_exec const ex{};  // ranks on one machine share its cores
  ccomp::workspace ws{ex};
  ccomp::error_feedback feedback{ccomp::uniform_quantize<8>{}, n, ex};
  std::vector<float> gradient(n);
  std::mt19937 engine(static_cast<unsigned>(comm.rank()));
  std::normal_distribution<float> normal;
  for (auto& x : gradient) x = normal(engine);
  auto const report = ccomp::allreduce(ex, comm, feedback, gradient, ws);  // now the mean over all ranks
  // [/allreduce]

  std::vector<double> exact(n);
  for (int r = 0; r < comm.size(); ++r) {
    std::mt19937 other(static_cast<unsigned>(r));
    normal.reset();
    for (auto& x : exact) x += static_cast<double>(normal(other)) / comm.size();
  }
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(static_cast<double>(gradient[i]) - exact[i]));
  bool const good = worst < 0.1;
  if (comm.rank() == 0)
    std::printf("%d ranks, %s: sent %.2f MB instead of %.2f, largest error of the mean %.4f%s\n", comm.size(),
                std::string(report.strategy).c_str(), static_cast<double>(report.bytes_sent) / 1e6,
                2.0 * (comm.size() - 1) / comm.size() * 4 * static_cast<double>(n) / 1e6, worst, good ? "" : ": WRONG");
  return good ? 0 : 1;
} catch (ccomp::error const& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
