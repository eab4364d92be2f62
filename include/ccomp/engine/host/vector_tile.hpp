#pragma once
/// The vectors of a tile side by side: number i of each, then number i + 1, so that loops over vectors vectorise.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/parallel.hpp>

#include <algorithm>
#include <cstddef>

CCOMP_BEGIN
namespace detail {

template <std::size_t Dim> struct vector_tile {
  static constexpr std::size_t dim = Dim, vectors = tile_values / dim, group = 32;

  float x[dim][vectors];
  double sums[vectors];

  /// How many vectors n values take, and how many the loops see to: whole groups.
  static constexpr std::size_t count_of(std::size_t n) { return ceil_div(n, dim); }
  static constexpr std::size_t padded(std::size_t count) { return round_up(count, group); }

  /// Value i of the tile, for i < n; zeros behind.
  [[gnu::always_inline]] void load(float const* from, std::size_t n) {
    std::size_t const whole = n / dim, all = padded(count_of(n));
    for (std::size_t v = 0; v < whole; ++v)
      for (std::size_t i = 0; i < dim; ++i) x[i][v] = from[dim * v + i];
    for (std::size_t v = whole; v < all; ++v)
      for (std::size_t i = 0; i < dim; ++i) x[i][v] = dim * v + i < n ? from[dim * v + i] : 0.0f;
  }
  [[gnu::always_inline]] void store(float* out, std::size_t n) const {
    std::size_t const whole = n / dim;
    for (std::size_t v = 0; v < whole; ++v)
      for (std::size_t i = 0; i < dim; ++i) out[dim * v + i] = x[i][v];
    for (std::size_t i = dim * whole; i < n; ++i) out[i] = x[i % dim][i / dim];
  }
  /// sums = the squared lengths of the first `count` vectors.
  [[gnu::always_inline]] void square(std::size_t count) {
    for (std::size_t v = 0; v < count; ++v) sums[v] = 0;
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t v = 0; v < count; ++v) {
        auto const d = static_cast<double>(x[i][v]);
        sums[v] = detail::add(sums[v], mul(d, d));
      }
  }
  [[gnu::always_inline]] void multiply(std::size_t first, std::size_t count, float factor) {
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t v = first; v < first + count; ++v) x[i][v] = factor > 0 ? mul(x[i][v], factor) : 0.0f;
  }
  /// The sum of `count` sums from `first` on, by halves of `whole`, a power of two; what is missing counts as zero.
  [[gnu::always_inline]] double fold(std::size_t first, std::size_t count, std::size_t whole) {
    double* const s = sums + first;
    for (std::size_t half = whole / 2; half > 0; half /= 2) {
      std::size_t const pairs = count > half ? std::min(half, count - half) : 0;
      for (std::size_t v = 0; v < pairs; ++v) s[v] = detail::add(s[v], s[v + half]);
    }
    return s[0];
  }
};

/// Calls `f(isa, tile, first, n)` for each tile of n values from `first` on, with a `Tile` to work in.
template <class Tile, class F> void for_vector_tiles(host_exec const& ex, std::size_t n, F const& f) {
  instruction_set const isa = resolve_isa(ex);
  parallel_ranges(ex, ceil_div(n, tile_values), tile_values, [&](std::size_t begin, std::size_t end) {
    Tile tile;
    for (std::size_t t = begin; t < end; ++t) {
      std::size_t const first = t * tile_values;
      f(isa, tile, first, std::min(tile_values, n - first));
    }
  });
}
}  // namespace detail
CCOMP_END
