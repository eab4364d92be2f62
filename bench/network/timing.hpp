#pragma once

#include "bench/compare/statistics.hpp"
#include "sent_bytes.hpp"
#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace network {

// Repetitions of one call: at least three, so that one interruption does not move the median, then as many as fit into
// `seconds`, at most nine. A warm-up comes before them; it counts if it takes longer than `seconds`, since such a call waits
// for the network and not for memory that it touches first.
struct repetition_limits {
  double seconds = 3;
  int least = 3;
  int most = 9;
};

struct timing {
  std::vector<double> seconds;  // of each repetition, the slowest rank's
  double wire_bytes = 0;        // that a rank sent in the last one, as its link counts them: the mean over the ranks

  double median_ms() const { return compare::median(seconds) * 1e3; }
  double least_ms() const { return *std::min_element(seconds.begin(), seconds.end()) * 1e3; }
  double most_ms() const { return *std::max_element(seconds.begin(), seconds.end()) * 1e3; }
};

// prepare() and call(), both on every rank; only call() is timed. after_first() sees the result of the warm-up. All
// ranks see the same times, so they stop alike.
template <typename Prepare, typename Call, typename AfterFirst>
timing time_calls(world const& all, repetition_limits const& limits, Prepare const& prepare, Call const& call,
                  AfterFirst const& after_first) {
  using clock = std::chrono::steady_clock;
  timing found;
  double spent = 0;
  for (int repetition = 0; repetition <= limits.most; ++repetition) {
    prepare();
    all.wait_for_all();
    auto const sent = sent_bytes();
    auto const start = clock::now();
    call();
    auto const mine = std::chrono::duration<double>(clock::now() - start).count();
    auto const slowest = all.largest(mine);
    auto const wire_bytes = all.sum(sent_bytes() - sent) / all.size();
    if (repetition == 0) {
      after_first();
      if (slowest <= limits.seconds) continue;
    }
    found.seconds.push_back(slowest);
    found.wire_bytes = wire_bytes;
    spent += slowest;
    if (static_cast<int>(found.seconds.size()) >= limits.least && spent + slowest > limits.seconds) break;
  }
  return found;
}

}
