#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace compare {

// body(member, first, count) over `n` values cut into one part per thread; parts end on whole pages.
template <typename Body> void run_team(int threads, std::size_t n, Body const& body) {
  auto const members = static_cast<std::size_t>(std::max(threads, 1));
  auto const step = ((n + members - 1) / members + 1023) / 1024 * 1024;
  auto const part = [&](std::size_t member) {
    auto const first = std::min(n, member * step);
    body(member, first, std::min(n - first, step));
  };
#ifdef _OPENMP
  auto const count = static_cast<long>(members);
#pragma omp parallel for num_threads(static_cast<int>(members)) schedule(static, 1)
  for (long member = 0; member < count; ++member) part(static_cast<std::size_t>(member));
#else
  std::vector<std::thread> others;
  for (std::size_t member = 1; member < members; ++member) others.emplace_back(part, member);
  part(0);
  for (auto& other : others) other.join();
#endif
}

}
