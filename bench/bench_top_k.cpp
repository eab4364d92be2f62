// Exact selection beside what the standard library offers for it.
#include "suite/timed.hpp"

#include <algorithm>
#include <numeric>

namespace suite {
namespace {

// std::nth_element over (magnitude, index) pairs, largest first.
void select_with_nth_element(std::span<float const> x, std::size_t k,
                             std::vector<std::pair<float, std::uint32_t>>& pairs) {
  for (std::size_t i = 0; i < x.size(); ++i) pairs[i] = {std::fabs(x[i]), static_cast<std::uint32_t>(i)};
  std::nth_element(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(k), pairs.end(),
                   [](auto const& a, auto const& b) { return a.first > b.first; });
  benchmark::DoNotOptimize(pairs.data());
}

int const registered_top_k = [] {
  for (double const ratio : {0.01, 0.001})
    for (kind const k : {kind::gaussian, kind::heavy, kind::gradient})
      for (std::size_t const n : {sizes[1], large})
        for (int const threads : {1, 2}) {
          std::string const text = "top_k(" + std::string(ratio == 0.01 ? "0.01" : "0.001") + ')';
          add("select/" + text + '/' + name_of(k) + '/' + size_name(n) + "/threads:" + std::to_string(threads), n,
              [=](benchmark::State& state) {
                bench_codec c(text, values(k, n), threads);
                time_against_memory(state, c.x, threads, [&] { c.encode(); });
                std::vector<std::pair<float, std::uint32_t>> pairs(n);
                std::vector<double> peer, ours;
                for (int i = 0; i < 3; ++i) {
                  peer.push_back(seconds_of([&] {
                    select_with_nth_element(c.x, static_cast<std::size_t>(ratio * static_cast<double>(n)), pairs);
                  }));
                  ours.push_back(seconds_of([&] { c.encode(); }));
                }
                state.counters["against_nth_element"] = compare::median(peer) / compare::median(ours);
                c.report(state);
              });
        }
  return 0;
}();

}
}
