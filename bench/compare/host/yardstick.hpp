#pragma once

#include <span>

namespace compare {

// What memory allows: every codec's speed is given relative to these, measured in the same loop.
class yardstick {
 public:
  explicit yardstick(int threads) : threads_(threads) {}

  double read_seconds(std::span<float const> values);                     // the largest |x|
  double copy_seconds(std::span<float const> from, std::span<float> to);  // as many bytes as `from` has

 private:
  int threads_;
  float volatile sink_ = 0;  // keeps the compiler from dropping the read
};

}
