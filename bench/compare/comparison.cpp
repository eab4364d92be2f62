#include "comparison.hpp"

#include "distribution.hpp"
#include "environment.hpp"
#include "measure.hpp"
#include "program.hpp"
#include "statistics.hpp"

#include <algorithm>
#include <thread>
#include <vector>

namespace compare {
namespace {

constexpr auto const* bf16_text = "cast<bfloat16>";
constexpr std::size_t histogram_bins = 241;  // odd: zero lies in the middle of a bin

environment describe(options const& wanted, gradients const& input, measure_settings const& settings) {
  environment where;
  describe_machine(where);
  where.version = library_version();
  where.date = utc_now();
  where.cpu = cpu_name();
  where.compiler = compiler_name();
  where.instruction_set = instruction_set_in_use();
  where.threads = settings.threads;
  where.cores = static_cast<int>(std::thread::hardware_concurrency());
  where.ranks = input.ranks();
  where.file_rows = input.file_rows();
  where.n = input.size();
  where.n_timed = static_cast<std::size_t>(wanted.timed_mib) * 1048576 / sizeof(float);
  where.repetitions = settings.repetitions;
  where.allreduce_repetitions = settings.allreduce_repetitions;
  where.feedback_steps = settings.feedback_steps;
  where.input = wanted.input.filename().string();  // without its folder: reports are passed on
  where.reading = input.reading();
  where.value_bytes = input.value_bytes();
  return where;
}

}

comparison compare_all(options const& wanted, gradients const& input,
                       std::function<void(std::string const&)> const& report) {
  measure_settings settings;
  settings.threads = threads_in_use(wanted.threads);
  settings.all_cores = wanted.threads == 0;
  settings.repetitions = wanted.quick ? 5 : 9;
  settings.allreduce_repetitions = wanted.quick ? 3 : 7;
  settings.feedback_steps = wanted.feedback_steps;

  comparison all;
  all.where = describe(wanted, input, settings);
  all.links = wanted.links;
  all.chosen_link = wanted.chosen_link;
  report(input.reading());
  for (int rank = 0; rank < input.ranks(); ++rank) {
    all.distribution_limit = std::max(all.distribution_limit, max_abs_of(input.row(rank)));
  }
  for (int rank = 0; rank < input.ranks(); ++rank) {
    all.distributions.push_back(measure_distribution(input.row(rank), all.distribution_limit, histogram_bins));
  }

  auto const count = std::to_string(wanted.compressors.size());
  auto const place = [&](std::size_t i) { return '[' + std::to_string(i + 1) + '/' + count + "] "; };
  for (std::size_t i = 0; i < wanted.compressors.size(); ++i) {
    auto const& compressor = wanted.compressors[i];
    report(place(i) + "errors of " + compressor);
    all.results.push_back({compressor, measure_fidelity(compressor, input, settings), {}, {}});
  }

  std::vector<float> timed(all.where.n_timed);
  std::vector<float> spare(all.where.n_timed);
  repeat_row(input.row(0), timed);
  std::vector<double> reads;
  std::vector<double> copies;
  std::vector<double> yardsticks;
  auto const time = [&](std::string const& compressor) {
    auto const measured = measure_speed(compressor, input, timed, spare, settings);
    reads.push_back(measured.read);
    copies.push_back(measured.copy);
    yardsticks.insert(yardsticks.end(), measured.yardstick.begin(), measured.yardstick.end());
    return measured;
  };
  report("timing the references");
  auto const bf16 = time(bf16_text);
  bool const half_file = input.value_bytes() == 2;
  auto const dense_bytes = dense_wire_bytes(input.ranks(), all.timed_bytes());
  all.dense_float32 = {"dense float32", {0, dense_bytes}};
  all.dense_half = half_file ? dense_reference{"dense float16", {0, dense_bytes / 2}}
                             : dense_reference{"dense bf16", {bf16.codec, dense_bytes / 2}};
  for (std::size_t i = 0; i < all.results.size(); ++i) {
    auto& one = all.results[i];
    report(place(i) + "speed of " + one.compressor);
    one.timed = one.compressor == bf16_text ? bf16 : time(one.compressor);
    one.price = {one.timed.codec, static_cast<double>(one.timed.bytes_sent)};
  }
  auto const moved = all.timed_bytes() * (all.on_device() ? 2 : 1);
  all.noise = spread_of(yardsticks, moved / 1e9);
  if (!all.on_device()) all.read_gbps = gigabytes_per_second(all.timed_bytes(), median(reads));
  all.copy_gbps = gigabytes_per_second(moved, median(copies));
  return all;
}

}
