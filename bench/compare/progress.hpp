#pragma once

#include <string>

namespace compare {

// One line on stderr: rewritten in place on a terminal, a line per message elsewhere (logs).
class progress {
 public:
  progress();
  progress(progress const&) = delete;
  progress& operator=(progress const&) = delete;
  ~progress() { clear(); }

  void show(std::string const& message);
  void clear();

 private:
  bool terminal_;
  bool dirty_ = false;
};

}
