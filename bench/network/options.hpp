#pragma once

#include "contestant.hpp"
#include "timing.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace network {

struct options {
  std::string help;  // not empty: print it and stop
  std::size_t n = std::size_t{1} << 24;
  std::vector<contestant> contestants;
  bool dense_only = false;
  bool checksums = true;  // of mpi_communicator
  repetition_limits limits;
  double time_limit = 600;  // seconds; compressors whose turn has not come by then are left out
  std::optional<std::filesystem::path> json;
};

// `arguments` without the program's name. Throws compare::user_error.
options parse_options(std::vector<std::string> arguments);

}
