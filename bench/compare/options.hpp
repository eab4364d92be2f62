#pragma once

#include "link.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace compare {

struct options {
  std::string help;  // not empty: print it and stop
  bool list = false;
  bool quick = false;
  std::filesystem::path input;
  std::vector<std::string> compressors;  // empty: the default ones
  std::optional<int> ranks;
  int threads = 0;  // 0: every core of the machine
  int feedback_steps = 32;
  int timed_mib = 0;  // this_program()'s, unless given
  std::vector<link_speed> links;
  std::size_t chosen_link = 0;  // of links: what the report draws error against time for
  std::optional<std::filesystem::path> json;
  std::optional<std::filesystem::path> csv;
};

// `arguments` without the program's name. Throws user_error.
options parse_options(std::vector<std::string> arguments);

}
