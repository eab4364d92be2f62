#pragma once
/// Random vectors that an iteration starts from: the same on every rank, drawn by seed, step and tensor.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/layout.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

struct random_start {
  instruction_set isa;
  random_stream stream;
  std::size_t cols;

  random_start(instruction_set set, std::uint64_t seed, pass_options const& at, std::size_t values)
      : isa(set), stream({seed, at.at}, at.tensor, shared_rank, random_phase(use_start)), cols(values) {}

  /// What a random 31-bit number is multiplied by, so that a column of them has a length of about 1.
  static float unit(std::size_t cols) {
    return static_cast<float>(std::sqrt(3.0 / static_cast<double>(cols)) / 2147483648.0);
  }
  /// Vector k.
  void draw(std::size_t k, float* column) const {
    std::size_t const counters = ceil_div(cols, std::size_t{4});
    float const each = unit(cols);
    std::uint32_t words[256];
    for (std::size_t c = 0; c < counters; c += 64) {
      std::size_t const count = std::min<std::size_t>(64, counters - c), first = 4 * c;
      fill_random_words(isa, stream, k * counters + c, words, count);
      for (std::size_t i = 0; i < std::min(4 * count, cols - first); ++i)
        column[first + i] = mul(static_cast<float>(static_cast<std::int32_t>(words[i])), each);
    }
  }
  /// Vectors 0 to count - 1: q [count][cols].
  void draw_all(std::size_t count, float* q) const {
    for (std::size_t k = 0; k < count; ++k) draw(k, q + k * cols);
  }
};

}  // namespace detail
CCOMP_END
