#pragma once

#include "npy.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace compare {

inline constexpr int most_ranks = 64;

// One gradient per rank, as given or derived from the rows of a file.
class gradients {
 public:
  // A shape [ranks, n] holds one row per rank if ranks are asked for or if it has at most 64 rows; any other shape is one
  // rank's tensor, one row. Ranks: as wanted, else the rows where there is more than one, else 4. A rank without a row of
  // its own takes row `rank mod rows` with every value times a factor in [0.5, 1) drawn from a hash of (rank, index):
  // signs, zeros and heavy tails stay, while no two ranks are equal. Throws user_error for values that no error can be
  // measured on.
  gradients(npy_array array, std::optional<int> wanted_ranks);

  int ranks() const { return ranks_; }
  int file_rows() const { return file_rows_; }
  std::size_t size() const { return size_; }
  std::size_t value_bytes() const { return value_bytes_; }  // of the file's type
  std::span<float const> row(int rank) const;
  // How the file was read, one sentence: "float32 [4, 1000] is read as 4 ranks of 1000 values, one row each."
  std::string const& reading() const { return reading_; }

 private:
  int ranks_;
  int file_rows_;
  std::size_t size_;
  std::size_t value_bytes_;
  std::string reading_;
  std::vector<float> values_;
};

// The row again and again until `out` is full; copy i is scaled by 1 - i/256 so that repeats do not tie.
void repeat_row(std::span<float const> row, std::span<float> out);

}
