// The suite for authors of stages, without a test framework: it checks a sparsifier from outside the library.
#include "block_peak.hpp"

#include <ccomp/testing/check_stage.hpp>

#include <cstdio>

int main() {
  // [suite]
  auto const faults = ccomp::testing::check_stage(mylab::block_peak{});
  for (auto const& fault : faults) std::printf("%s\n", fault.c_str());
  // [/suite]
  if (faults.empty()) std::printf("block_peak keeps what engines and users rely on\n");
  return faults.empty() ? 0 : 1;
}
