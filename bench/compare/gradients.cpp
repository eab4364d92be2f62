#include "gradients.hpp"

#include "number.hpp"
#include "user_error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace compare {
namespace {

float derived_factor(std::uint64_t rank, std::uint64_t index) {
  auto z = (rank << 40 ^ index) + 0x9e3779b97f4a7c15U;  // splitmix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return 0.5F + static_cast<float>(z >> 41) * 0x1p-24F;
}

// What the shape means.
struct layout {
  std::size_t rows = 1;
  std::size_t columns = 0;
  bool too_many_rows = false;
};

layout layout_of(npy_array const& array, std::optional<int> wanted) {
  auto const& shape = array.shape;
  bool const matrix = shape.size() == 2;
  if (matrix && (wanted || shape[0] <= static_cast<std::size_t>(most_ranks))) return {shape[0], shape[1], false};
  return {1, array.values.size(), matrix};
}

int ranks_of(layout const& file, std::optional<int> wanted) {
  if (wanted) return *wanted;
  return file.rows > 1 ? static_cast<int>(file.rows) : 4;
}

std::string shape_text(npy_array const& array) {
  std::string text = array.type + " [";
  for (std::size_t i = 0; i < array.shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(array.shape[i]);
  return text + ']';
}

std::string derived_text(std::size_t rows, std::size_t ranks) {
  if (rows >= ranks) return "";
  auto const from = rows == 1 ? " derived from it" : " derived from them";
  if (ranks - rows == 1) return "; rank " + std::to_string(rows) + " is" + from;
  return "; ranks " + std::to_string(rows) + " to " + std::to_string(ranks - 1) + " are" + from;
}

std::string reading_of(npy_array const& array, layout const& file, std::size_t ranks, std::size_t rows) {
  auto text = shape_text(array) + " is read as ";
  if (array.shape.size() == 2 && !file.too_many_rows) {
    text += counted(rows, "rank") + " of " + counted(file.columns, "value") + ", one row each";
    if (rows < file.rows) text += " (the first " + std::to_string(rows) + " of " + std::to_string(file.rows) + " rows)";
  } else {
    text += "one rank's tensor of " + counted(file.columns, "value");
    if (file.too_many_rows) {
      text += ", since " + std::to_string(array.shape[0]) + " rows are more than " + std::to_string(most_ranks) +
              " ranks (with --ranks, each row is one rank)";
    }
  }
  return text + derived_text(rows, ranks) + '.';
}

void require_usable(npy_array const& array, layout const& file, std::size_t rows) {
  for (std::size_t i = 0; i < rows * file.columns; ++i) {
    if (std::isfinite(array.values[i])) continue;
    throw user_error("the input holds a value that is not finite (row " + std::to_string(i / file.columns) +
                     ", index " + std::to_string(i % file.columns) + "), so no error can be measured on it.");
  }
  auto const first_row = std::span(array.values).first(file.columns);
  if (std::all_of(first_row.begin(), first_row.end(), [](float x) { return x == 0; })) {
    throw user_error("the input's first row is all zero, so no relative error can be measured on it.");
  }
}

}

gradients::gradients(npy_array array, std::optional<int> wanted_ranks) {
  auto const file = layout_of(array, wanted_ranks);
  ranks_ = ranks_of(file, wanted_ranks);
  auto const rows = std::min(file.rows, static_cast<std::size_t>(ranks_));
  file_rows_ = static_cast<int>(rows);
  size_ = file.columns;
  value_bytes_ = array.value_bytes();
  reading_ = reading_of(array, file, static_cast<std::size_t>(ranks_), rows);
  require_usable(array, file, rows);
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
