#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "npy.hpp"

namespace compare {

// One gradient per rank, as given or derived from the rows of a file.
class gradients {
 public:
  // Ranks: as wanted, else the file's rows where it has more than one, else 4. A rank without a row of its own takes
  // row `rank mod rows` with every value times a factor in [0.5, 1) drawn from a hash of (rank, index): signs, zeros
  // and heavy tails stay, while no two ranks are equal. Throws user_error for values that no error can be measured on.
  gradients(npy_array array, std::optional<int> wanted_ranks);

  int ranks() const { return ranks_; }
  int file_rows() const { return file_rows_; }
  std::size_t size() const { return size_; }
  std::span<float const> row(int rank) const;

 private:
  int ranks_;
  int file_rows_;
  std::size_t size_;
  std::vector<float> values_;
};

// The row again and again until `out` is full; copy i is scaled by 1 - i/256 so that repeats do not tie.
void repeat_row(std::span<float const> row, std::span<float> out);

}
