#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <vector>

int main() {
  std::vector<float> mean;
  ccomp::thread_group(4).run([&](ccomp::thread_communicator& comm) {  // four ranks: threads of this process
    ccomp::workspace ws{ccomp::host_exec{}};
    std::vector<float> gradient(100'000, 1.0f + static_cast<float>(comm.rank()));
    ccomp::allreduce({}, comm, ccomp::uniform_quantize<8>{}, gradient, ws);  // 8 bits per value instead of 32
    if (comm.rank() == 0) mean = gradient;
  });
  std::printf("the mean of 1, 2, 3 and 4 came back as %g\n", mean[0]);
  return mean[0] > 2.49f && mean[0] < 2.51f ? 0 : 1;
}
