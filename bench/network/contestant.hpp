#pragma once

#include <string>
#include <vector>

namespace network {

// A compressor as it is written on the command line: its text, behind "feedback:" if error feedback belongs to it.
struct contestant {
  std::string compressor;
  bool feedback = false;

  std::string name() const { return (feedback ? "feedback:" : "") + compressor; }
};

contestant read_contestant(std::string const& text);

// One of every kind, and with error feedback those that lose so much that training needs it.
std::vector<contestant> default_contestants();
// Few, of which each sends far less than the one before.
std::vector<contestant> quick_contestants();

}
