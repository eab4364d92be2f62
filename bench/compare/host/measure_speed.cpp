#include "../host_engine.hpp"
#include "../measure.hpp"
#include "../refusing.hpp"
#include "../replay.hpp"
#include "../statistics.hpp"
#include "exchanges.hpp"
#include "yardstick.hpp"

#include <ccomp/ccomp.hpp>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace compare {
namespace {

using clock = std::chrono::steady_clock;

double seconds_between(clock::time_point start, clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

template <typename Call> double seconds_of(Call&& call) {
  auto const start = clock::now();
  call();
  return seconds_between(start, clock::now());
}

// The allreduce of all ranks in this process: the slowest rank's time, and what rank 0 received.
struct group_run {
  double seconds = 0;
  ccomp::collective_report report;
  exchanges received;
};

group_run time_allreduce(ccomp::any_compressor const& compressor, gradients const& input, std::size_t n_timed,
                         measure_settings const& settings) {
  auto const ranks = input.ranks();
  auto const repetitions = static_cast<std::size_t>(settings.allreduce_repetitions);
  group_run found;
  std::vector<clock::time_point> starts(static_cast<std::size_t>(ranks));
  std::vector<clock::time_point> ends(starts.size());
  std::vector<double> seconds;
  // Every rank starts when all have refilled their tensors, and the next refill waits until all are done.
  std::barrier line(ranks);
  ccomp::thread_group group{ranks};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const me = static_cast<std::size_t>(comm.rank());
    try {
      auto const ex = exec_of_a_rank(settings, ranks);
      ccomp::workspace ws{ex};
      std::vector<float> tensor(n_timed);
      for (std::size_t repetition = 0; repetition <= repetitions; ++repetition) {  // the first one warms up
        repeat_row(input.row(comm.rank()), tensor);
        recorder recording(comm, repetition == 0 && me == 0 ? &found.received : nullptr);
        line.arrive_and_wait();
        starts[me] = clock::now();
        auto const report = ccomp::allreduce(ex, recording, compressor, std::span(tensor), ws, sum_options);
        ends[me] = clock::now();
        line.arrive_and_wait();
        if (me != 0) continue;
        found.report = report;
        auto const first = *std::min_element(starts.begin(), starts.end());
        auto const last = *std::max_element(ends.begin(), ends.end());
        if (repetition > 0) seconds.push_back(seconds_between(first, last));
      }
    } catch (...) {
      line.arrive_and_drop();  // or the others would wait for this rank for ever
      throw;
    }
  });
  found.seconds = median(seconds);
  return found;
}

}

speed measure_speed(std::string const& compressor, gradients const& input, std::span<float const> timed,
                    std::span<float> spare, measure_settings const& settings) {
  return refusing(compressor, [&] {
    auto const stages = parse(compressor);
    ccomp::host_exec const ex{.threads = settings.threads};
    ccomp::workspace ws{ex};
    yardstick memory(settings.threads);
    std::vector<std::byte> payload(ccomp::payload_bytes<float>(stages, timed.size()));
    auto group = time_allreduce(stages, input, timed.size(), settings);

    std::size_t used = 0;
    std::vector<double> reads;
    std::vector<double> copies;
    std::vector<double> encodes;
    std::vector<double> decodes;
    std::vector<double> codecs;
    for (int repetition = 0; repetition <= settings.repetitions; ++repetition) {
      auto const read = memory.read_seconds(timed);
      auto const encode =
          seconds_of([&] { used = ccomp::encode(ex, stages, timed, std::span(payload), ws, {.at = 0}); });
      auto const decode = seconds_of(
          [&] { ccomp::decode(ex, stages, std::span<std::byte const>(payload).first(used), spare, ws, {.at = 0}); });
      auto const copy = memory.copy_seconds(timed, spare);  // it also refills the tensor for what follows
      replayer comm(0, input.ranks(), group.received);
      auto const whole = seconds_of([&] { ccomp::allreduce(ex, comm, stages, spare, ws, sum_options); });
      if (repetition == 0) continue;  // warms up
      reads.push_back(read);
      copies.push_back(copy);
      encodes.push_back(encode);
      decodes.push_back(decode);
      codecs.push_back(whole - comm.seconds());
    }
    speed found;
    found.read = median(reads);
    found.copy = median(copies);
    found.encode = median(encodes);
    found.decode = median(decodes);
    found.codec = median(codecs);
    found.allreduce = group.seconds;
    found.strategy = group.report.strategy;
    found.bytes_sent = group.report.bytes_sent;
    found.payload_bytes = used;
    found.yardstick = std::move(reads);
    return found;
  });
}

}
