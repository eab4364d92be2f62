#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace perf {

// A row of the table. Times are in seconds.
struct result_row {
  std::size_t bytes = 0;
  std::size_t count = 0;
  std::string compressor{};  // "MPI", "NCCL": their own; "none": dense
  bool feedback = false;
  std::string strategy{};
  double seconds = 0;
  double algorithm_bandwidth = 0;  // bytes per second
  double bus_bandwidth = 0;
  std::optional<double> p50{}, p99{};
  std::optional<std::size_t> wrong{};
  std::optional<double> error{};
  std::optional<double> ratio{};
  std::optional<std::size_t> wire_bytes{};
};

// What a header and a file tell beside the rows.
struct run_facts {
  std::string transport{};
  std::string library{};  // MPI's or NCCL's version, where one takes part
  std::string device{};   // the GPU's name; empty: the host
  int ranks = 0;
  int threads = 0;  // of a rank's codec; 0 on a GPU
};

struct run_result {
  run_facts facts{};
  std::vector<result_row> rows{};
  std::vector<std::string> notes{};
  std::size_t wrong() const {
    std::size_t all = 0;
    for (auto const& row : rows) all += row.wrong.value_or(0);
    return all;
  }
};

}
