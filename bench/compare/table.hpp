#pragma once

#include "result.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace compare {

inline constexpr std::size_t page_width = 80;  // of a terminal, unless its owner made it wider

// Words on as many lines as they need, each behind `indent` spaces; ends with a line end.
std::string wrapped(std::string const& text, std::size_t indent = 0);
// A text without words, such as a compressor's, on as many lines as it needs: cut behind '|', ',' or '(', else anywhere.
std::string broken(std::string const& text);

// Columns of text, the first flush left and the others flush right; a first cell that is too wide has lines to itself.
class table {
 public:
  using cells = std::vector<std::string>;
  static constexpr std::size_t least_first = 20;  // columns that a first cell has at least

  explicit table(std::vector<cells> heading) : heading_(std::move(heading)) {}
  void add(cells line) { rows_.push_back(std::move(line)); }
  std::string text() const;
  // Whether the columns beside the first leave it enough of a page.
  bool fits() const;

 private:
  std::vector<std::size_t> widths() const;

  std::vector<cells> heading_;
  std::vector<cells> rows_;
};

// What a person reads: at most 80 columns wide.
std::string to_text(comparison const& all);

}
