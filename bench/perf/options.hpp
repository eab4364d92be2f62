#pragma once

#include "operation.hpp"
#include "sizes.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace perf {

struct options {
  std::string help{};  // not empty: print it and stop
  size_range range{};
  int calls = 20;
  int warm_up = 5;
  int checks = 1;
  ccomp::reduction op = ccomp::reduction::sum;
  ccomp::element_type type = ccomp::element_type::float32;
  int threads = 0;  // ranks that are threads; 0: not given
  int gpus = 0;     // 0: not given
  int root = 0;
  std::string operation = "allreduce";
  std::string transport{};
  std::vector<std::string> compressors{};
  strategy how = strategy::automatic;
  std::string strategy_name = "automatic";
  bool feedback = false;
  bool native = true;
  bool percentiles = false;
  std::optional<std::filesystem::path> json{};
};

// What a program offers: its name, its transports, the first of which is the default one.
struct offer {
  std::string name;
  std::vector<std::string> transports;
  bool gpus = false;
  std::string about;
};

// `arguments` without the program's name. Throws compare::user_error.
options parse_options(offer const& program, std::vector<std::string> arguments);

}
