#pragma once

#include "world.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace network {

// The mean of the tensors of all ranks in float64, of which each rank keeps its share: what results are compared with.
class exact_mean {
 public:
  exact_mean(world const& all, std::size_t n);

  // ||got - mean|| / ||mean|| over all values, where `got` times `factor` stands for the mean. Every rank looks at its
  // share of its own result.
  double relative_error(std::span<float const> got, double factor) const;

 private:
  world const& all_;
  std::size_t first_;
  std::vector<double> share_;
};

// A number that tells results apart.
std::uint64_t fingerprint(std::span<float const> values);

}
