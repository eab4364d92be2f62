#pragma once

#include "options.hpp"
#include "result.hpp"

#include <string>

namespace perf {

// Lines of at most 160 columns. Those that begin with # are no rows.
class text_output {
 public:
  explicit text_output(options const& wanted) : wanted_(wanted) {}
  std::string heading(run_facts const& facts) const;
  std::string line(result_row const& row) const;
  std::string ending(run_result const& found) const;

 private:
  std::string shown(std::string const& compressor) const;

  options const& wanted_;
};

}
