#pragma once

#include "distribution.hpp"
#include "link.hpp"
#include "prediction.hpp"
#include "statistics.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace compare {

// Exact numbers of the input as given.
struct fidelity {
  std::size_t payload_bytes = 0;
  double ratio = 0;
  double relative_error = 0;
  double cosine = 0;
  std::string strategy;
  std::size_t bytes_sent = 0;
  double allreduce_error = 0;
  bool ranks_agree = false;              // the same bits on every rank
  std::optional<double> feedback_error;  // none where error feedback refuses the compressor, with the reason:
  std::string feedback_note;
};

// Whether a GPU gave the host's results for the timed input.
struct device_check {
  bool same_payload = false;
  bool same_values = false;  // decoded
  bool ranks_agree = false;  // the same bits on every rank of the timed allreduce

  bool same() const { return same_payload && same_values; }
};

// Medians over the timed input, in seconds.
struct speed {
  double read = 0;  // not on a GPU
  double copy = 0;
  double encode = 0;
  double decode = 0;
  double codec = 0;      // rank 0's own work during an allreduce
  double allreduce = 0;  // all ranks in this process
  std::string strategy;
  std::size_t bytes_sent = 0;
  std::size_t payload_bytes = 0;
  std::optional<device_check> check;  // on a GPU
  std::vector<double> yardstick;      // every repetition's: the read, on a GPU the copy
};

struct result {
  std::string compressor;
  fidelity exact;
  speed timed;
  cost price;
};

struct dense_reference {
  std::string name;
  cost price;
};

struct device_facts {
  std::string name;
  std::string runtime;  // CUDA's versions, such as 13.0
  std::string driver;
};

struct environment {
  std::string version;
  std::string date;
  std::string cpu;
  std::string compiler;
  std::string instruction_set;
  std::optional<device_facts> device;  // where speeds were measured; errors are always the host's
  int threads = 0;
  int cores = 0;
  int ranks = 0;
  int file_rows = 0;
  std::size_t n = 0;
  std::size_t n_timed = 0;
  int repetitions = 0;
  int allreduce_repetitions = 0;
  int feedback_steps = 0;
  std::string input;
  std::string reading;          // what its shape was taken for, a sentence
  std::size_t value_bytes = 4;  // of the file's type
};

// Above this a machine was not quiet: what was measured at different times of a run does not compare.
inline constexpr double most_noise = 0.25;

struct comparison {
  environment where;
  std::vector<link_speed> links;
  std::size_t chosen_link = 0;
  double read_gbps = 0;
  double copy_gbps = 0;  // on a GPU bytes count twice, as read and as written
  spread noise;          // of the read yardstick (on a GPU: of the copy) over the run, in GB/s
  std::vector<result> results;
  dense_reference dense_float32;
  dense_reference dense_half;  // bf16 by the measured casts; of a float16 file the file's values as they are
  double distribution_limit = 0;
  std::vector<distribution> distributions;  // one per rank
  double timed_bytes() const { return static_cast<double>(where.n_timed) * 4; }
  bool on_device() const { return where.device.has_value(); }
  bool quiet() const { return noise.relative <= most_noise; }

  // On a GPU: bytes a second that a pass must move, values on one side and the payload on the other, as a share of those
  // of a copy, which reads and writes the values.
  double of_copy(speed const& one, double pass_seconds) const {
    auto const moved = timed_bytes() + static_cast<double>(one.payload_bytes);
    return moved / pass_seconds / (2 * timed_bytes() / one.copy);
  }
};

inline std::string percent(double part) {
  auto const whole = static_cast<long long>(part * 100 + 0.5);
  return std::to_string(whole) + " %";
}

inline double gigabytes_per_second(double bytes, double seconds) { return bytes / seconds / 1e9; }

}
