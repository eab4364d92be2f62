#pragma once

#include "result.hpp"

#include <string>
#include <vector>

namespace compare {

// What differs between ccomp-compare and ccomp-compare-cuda, which link this, and measure_speed(), from host/ or cuda/.
struct program {
  std::string name;
  std::string links;                // --link, unless given
  std::string chosen_link;          // of these
  int timed_mib = 0;                // --timed-mib, unless given
  std::string speeds;               // of --help: how they are measured
  std::string work;                 // of --help: what a rank works, in predictions
  std::vector<std::string> stages;  // those that speeds can be measured of; empty: all
};
program const& this_program();

// Where speeds are measured. Throws user_error where they cannot be.
void describe_machine(environment& where);

}
