// One allreduce of a typed chain with error feedback. Kept as it is, so that times of different days are of one program.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

int main() {
  auto const compressor = ccomp::top_k{.ratio = 0.01} | ccomp::uniform_quantize<8>{};
  std::vector<float> first_mean(100'000);
  std::size_t bytes = 0;

  ccomp::thread_group group(4);  // four ranks: threads of this process
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    std::vector<float> gradient(first_mean.size());
    ccomp::error_feedback feedback{compressor, gradient.size()};  // what is not sent is added to the next step
    for (int step = 0; step < 10; ++step) {
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = 1.0f / static_cast<float>(i + 1);
      auto const report = ccomp::allreduce(ex, comm, feedback, gradient, ws, {.at = step});
      if (comm.rank() == 0) bytes = report.bytes_sent;
      if (comm.rank() == 0 && step == 0) first_mean = gradient;
    }
  });
  std::printf("%zu bytes sent a rank and step; the largest value came back as %g\n", bytes, first_mean[0]);
  return std::abs(first_mean[0] - 1) < 0.001f && bytes < 4 * first_mean.size() / 20 ? 0 : 1;
}
