#pragma once

#include "gradients.hpp"
#include "result.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace compare {

// The only door to the library, together with program.hpp. No type of the library's passes it: of those, each compiler
// has its own.

struct stage_line {
  std::string name;      // with what may stand between < and >
  std::string settings;  // with their defaults
  std::string description;
  std::vector<std::string> examples;  // texts of compressors
};
std::vector<stage_line> known_stage_lines();
// One of every kind, so that a run without arguments shows the whole choice.
std::vector<std::string> default_compressors();
std::string library_version();
std::string instruction_set_in_use();
int threads_in_use(int wanted);

// Throws user_error with the library's sentence where `text` is no compressor.
void require_compressor(std::string const& text);

struct measure_settings {
  int threads = 1;        // resolved: at least 1
  bool all_cores = true;  // no --threads: the ranks of one process share all cores
  int repetitions = 9;
  int allreduce_repetitions = 7;  // fewer: each takes all ranks' time
  int feedback_steps = 32;
};

// Both throw user_error where the library refuses the compressor for this input.
fidelity measure_fidelity(std::string const& compressor, gradients const& input, measure_settings const& settings);

// `timed`: rank 0's row repeated; `spare`: as large, overwritten. Linked from host/ or from cuda/.
speed measure_speed(std::string const& compressor, gradients const& input, std::span<float const> timed,
                    std::span<float> spare, measure_settings const& settings);

// Codes `values` once and returns the payload's size.
std::size_t code_on_host(std::string const& compressor, std::span<float const> values, std::vector<std::byte>& payload,
                         std::span<float> output, int threads);

}
