#include "measure.hpp"

#include <algorithm>
#include <barrier>
#include <ccomp/ccomp.hpp>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

// A component of its own, since it needs Eigen.
#if __has_include(<Eigen/Core>) && __has_include(<ccomp/low_rank/power_sgd.hpp>)
#include <ccomp/low_rank/power_sgd.hpp>
#define CCOMP_COMPARE_LOW_RANK 1
#else
#define CCOMP_COMPARE_LOW_RANK 0
#endif

#include "replay.hpp"
#include "statistics.hpp"
#include "user_error.hpp"
#include "yardstick.hpp"

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

// The library's messages end with the place in its source, which tells a user of this program nothing.
std::string sentence(ccomp::error const& e) {
  std::string text = e.what();
  if (auto const place = text.rfind(" ["); place != std::string::npos && text.back() == ']') text.resize(place);
  for (std::string const prefix : {"ccomp: ", "compressor text: "}) {
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text + '.';
}

// The type of the options is the library's; every timed call draws the same random bits.
ccomp::allreduce_options const sum_options{.op = ccomp::reduction::sum, .at = 0};

ccomp::stage_registry const& stages_known() {
  static ccomp::stage_registry const all = [] {
    auto stages = ccomp::stage_registry::standard();
#if CCOMP_COMPARE_LOW_RANK
    stages.add<ccomp::power_sgd>("a matrix of low rank by one power iteration a step; two rounds summed in flight");
#endif
    return stages;
  }();
  return all;
}

ccomp::any_compressor parse(std::string const& text) { return ccomp::any_compressor(text, stages_known()); }

// What the library refuses is the user's choice of compressor for this input.
template <typename Call> auto refusing(std::string const& compressor, Call&& call) {
  try {
    return call();
  } catch (ccomp::error const& e) {
    throw user_error("the compressor '" + compressor + "' cannot be used: " + sentence(e));
  }
}

// Each rank of one process gets its share of the cores, or of --threads.
ccomp::host_exec exec_of_a_rank(measure_settings const& settings, int ranks) {
  return {.threads = settings.all_cores ? 0 : std::max(1, settings.threads / ranks)};
}

void add_allreduce(fidelity& found, ccomp::any_compressor const& compressor, gradients const& input,
                   measure_settings const& settings) {
  auto const ranks = static_cast<std::size_t>(input.ranks());
  std::vector<std::vector<float>> sums(ranks);
  std::vector<ccomp::collective_report> reports(ranks);
  ccomp::thread_group group{input.ranks()};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const me = static_cast<std::size_t>(comm.rank());
    auto const row = input.row(comm.rank());
    auto const ex = exec_of_a_rank(settings, comm.size());
    ccomp::workspace ws{ex};
    sums[me].assign(row.begin(), row.end());
    reports[me] = ccomp::allreduce(ex, comm, compressor, std::span(sums[me]), ws, sum_options);
  });
  std::vector<double> exact(input.size());
  for (int rank = 0; rank < input.ranks(); ++rank) {
    auto const row = input.row(rank);
    for (std::size_t i = 0; i < exact.size(); ++i) exact[i] += static_cast<double>(row[i]);
  }
  found.strategy = reports[0].strategy;
  found.bytes_sent = reports[0].bytes_sent;
  found.allreduce_error = relative_error(std::span<float const>(sums[0]), std::span<double const>(exact));
  found.ranks_agree = std::all_of(sums.begin(), sums.end(), [&](auto const& sum) {
    return std::memcmp(sum.data(), sums[0].data(), sum.size() * sizeof(float)) == 0;
  });
}

void add_feedback(fidelity& found, ccomp::any_compressor const& compressor, gradients const& input,
                  measure_settings const& settings) {
  auto const row = input.row(0);
  ccomp::host_exec const ex{.threads = settings.threads};
  ccomp::workspace ws{ex};
  ccomp::self_communicator comm;
  std::vector<float> output(row.size());
  std::vector<double> mean(row.size());
  try {
    ccomp::error_feedback feedback{compressor, row.size(), ex};
    for (int step = 0; step < settings.feedback_steps; ++step) {
      std::copy(row.begin(), row.end(), output.begin());
      ccomp::allreduce(ex, comm, feedback, std::span(output), ws, {.op = ccomp::reduction::sum, .at = step});
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(output[i]);
    }
  } catch (ccomp::invalid_argument const& e) {
    found.feedback_note = sentence(e);
    return;
  }
  for (double& value : mean) value /= settings.feedback_steps;
  found.feedback_error = relative_error(std::span<double const>(mean), row);
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

std::vector<stage_line> known_stage_lines() {
  std::vector<stage_line> lines;
  std::string name;
  for (auto const& stage : stages_known().entries()) {
    auto const settings = stage.settings.empty() ? "" : '(' + stage.settings + ')';
    // The variants of one stage that differ only in what stands between < and > share a line.
    if (!lines.empty() && stage.name == name && stage.summary == lines.back().description) {
      lines.back().name.insert(lines.back().name.find('>'), ", " + stage.argument);
      continue;
    }
    name = stage.name;
    lines.push_back({name + (stage.argument.empty() ? "" : '<' + stage.argument + '>'), settings, stage.summary});
  }
  return lines;
}

std::string library_version() { return CCOMP_VERSION_STRING; }

std::string instruction_set_in_use() { return ccomp::detail::isa_name(ccomp::detail::resolve_isa({})); }

int threads_in_use(int wanted) { return ccomp::detail::resolve_threads({.threads = wanted}); }

void require_compressor(std::string const& text) {
  refusing(text, [&] { parse(text); });
}

fidelity measure_fidelity(std::string const& compressor, gradients const& input, measure_settings const& settings) {
  return refusing(compressor, [&] {
    auto const stages = parse(compressor);
    ccomp::host_exec const ex{.threads = settings.threads};
    ccomp::workspace ws{ex};
    auto const row = input.row(0);
    std::vector<std::byte> payload(ccomp::payload_bytes<float>(stages, row.size()));
    std::vector<float> output(row.size());
    auto const used = ccomp::encode(ex, stages, row, std::span(payload), ws);
    ccomp::decode(ex, stages, std::span<std::byte const>(payload).first(used), std::span(output), ws);

    fidelity found;
    found.payload_bytes = used;
    found.ratio = static_cast<double>(row.size_bytes()) / static_cast<double>(used);
    found.relative_error = relative_error(std::span<float const>(output), row);
    found.cosine = cosine(row, output);
    add_allreduce(found, stages, input, settings);
    add_feedback(found, stages, input, settings);
    return found;
  });
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
      auto const encode = seconds_of([&] { used = ccomp::encode(ex, stages, timed, std::span(payload), ws); });
      auto const decode =
          seconds_of([&] { ccomp::decode(ex, stages, std::span<std::byte const>(payload).first(used), spare, ws); });
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
    return found;
  });
}

}
