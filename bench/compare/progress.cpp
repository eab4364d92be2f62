#include "progress.hpp"

#include "printable.hpp"

#include <unistd.h>

#include <iostream>

namespace compare {

progress::progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void progress::show(std::string const& text) {
  auto const message = printable(text);
  if (terminal_) {
    // Cut below the usual 80 columns: a wrapped line cannot be rewritten. "\33[K" clears what an earlier one left.
    std::cerr << '\r' << message.substr(0, 78) << "\33[K" << std::flush;
    dirty_ = true;
  } else {
    std::cerr << message << std::endl;
  }
}

void progress::clear() {
  if (dirty_) std::cerr << "\r\33[K" << std::flush;
  dirty_ = false;
}

}
