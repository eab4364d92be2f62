#include "gradients.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "options.hpp"
#include "user_error.hpp"

namespace compare {
namespace {

float derived_factor(std::uint64_t rank, std::uint64_t index) {
  auto z = (rank << 40 ^ index) + 0x9e3779b97f4a7c15U;  // splitmix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return 0.5F + static_cast<float>(z >> 41) * 0x1p-24F;
}

int ranks_of(npy_array const& array, std::optional<int> wanted) {
  if (wanted) return *wanted;
  if (array.rows > static_cast<std::size_t>(most_ranks)) {
    throw user_error("the input has " + std::to_string(array.rows) + " rows; choose 1 to " +
                     std::to_string(most_ranks) + " of them with --ranks.");
  }
  return array.rows > 1 ? static_cast<int>(array.rows) : 4;
}

void require_usable(npy_array const& array, int rows) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * array.columns; ++i) {
    if (std::isfinite(array.values[i])) continue;
    throw user_error("the input holds a value that is not finite (row " + std::to_string(i / array.columns) +
                     ", index " + std::to_string(i % array.columns) + "), so no error can be measured on it.");
  }
  auto const first_row = std::span(array.values).first(array.columns);
  if (std::all_of(first_row.begin(), first_row.end(), [](float x) { return x == 0; })) {
    throw user_error("the input's first row is all zero, so no relative error can be measured on it.");
  }
}

}

gradients::gradients(npy_array array, std::optional<int> wanted_ranks)
    : ranks_(ranks_of(array, wanted_ranks)),
      file_rows_(static_cast<int>(std::min<std::size_t>(array.rows, static_cast<std::size_t>(ranks_)))),
      size_(array.columns) {
  require_usable(array, file_rows_);
  values_ = std::move(array.values);
  values_.resize(static_cast<std::size_t>(ranks_) * size_);
  for (int rank = file_rows_; rank < ranks_; ++rank) {
    auto const from = row(rank % file_rows_);
    auto* const to = values_.data() + static_cast<std::size_t>(rank) * size_;
    for (std::size_t i = 0; i < size_; ++i) to[i] = from[i] * derived_factor(static_cast<std::uint64_t>(rank), i);
  }
}

std::span<float const> gradients::row(int rank) const {
  return std::span(values_).subspan(static_cast<std::size_t>(rank) * size_, size_);
}

void repeat_row(std::span<float const> row, std::span<float> out) {
  for (std::size_t copy = 0, at = 0; at < out.size(); ++copy) {
    // Counted modulo 256, or the copies of a short row would shrink to zero and turn round.
    float const factor = 1.0F - static_cast<float>(copy % 256) / 256.0F;
    auto const count = std::min(row.size(), out.size() - at);
    for (std::size_t i = 0; i < count; ++i) out[at + i] = row[i] * factor;
    at += count;
  }
}

}
