#pragma once

#include <stdexcept>

namespace compare {

// What the person at the keyboard can put right: main() prints the sentence and leaves with exit code 2.
struct user_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}
