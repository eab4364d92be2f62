#pragma once

#include "exact_mean.hpp"
#include "world.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace network {

// This rank's gradient, the tensor in which calls change a copy of it, and the mean that they should come to.
class tensor {
 public:
  tensor(world const& all, std::size_t n);

  std::span<float> values() { return values_; }
  std::span<float const> gradient() const { return gradient_; }
  void refill();
  // Of `values()`, where they hold the mean over the ranks, or their sum.
  double error_of_mean() const { return exact_.relative_error(values_, 1); }
  double error_of_sum() const { return exact_.relative_error(values_, 1.0 / all_.size()); }
  bool ranks_agree() const { return all_.same(fingerprint(values_)); }

 private:
  world const& all_;
  exact_mean exact_;
  std::vector<float> gradient_;
  std::vector<float> values_;
};

}
