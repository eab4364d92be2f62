#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "result.hpp"

namespace compare {

// Columns of text, the first flush left and the others flush right; a first cell that is too wide has a line to itself.
class table {
 public:
  using cells = std::vector<std::string>;
  static constexpr std::size_t widest_first = 38;

  explicit table(std::vector<cells> heading) : heading_(std::move(heading)) {}
  void add(cells line) { rows_.push_back(std::move(line)); }
  std::string text() const;

 private:
  std::vector<cells> heading_;
  std::vector<cells> rows_;
};

// What a person reads: at most 120 columns wide.
std::string to_text(comparison const& all);

}
