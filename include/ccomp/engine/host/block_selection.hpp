#pragma once
/// Exact selection of the k largest magnitudes of one block, which fits in the first-level cache.

#include <ccomp/engine/host/compact.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// Columns of a block whose k-th largest maximum is a bound that at least k values reach. Four for each value wanted:
/// about k / 7 more values than k reach it. 0: too many would be left.
constexpr std::size_t bound_columns(std::size_t n, std::size_t k) {
  std::size_t const columns = round_up(4 * k, 16);
  return 4 * columns <= n ? columns : 0;
}

/// Room for the candidates of a block.
struct block_candidates {
  tile_offsets offset;
  float value[tile_values + offset_slack];
};

/// A bound on keys, and how many values reach it.
struct reached_bound {
  std::uint32_t low = 0;
  std::size_t count = 0;
};
/// A bound that at least `least` of the n values reach, and at most `most`; where values repeat, the largest that `least`
/// reach. Zeros are written behind the values, up to a multiple of 16.
[[gnu::always_inline]] inline reached_bound bound_for(float* x, std::size_t n, std::size_t least, std::size_t most) {
  constexpr std::size_t group = 16;
  for (; n % group != 0; ++n) x[n] = 0;
  std::uint32_t const one = magnitude_key(x[0]);
  std::uint32_t differing = 0;
  for (std::size_t i = 0; i < n; i += group)
    for (std::size_t j = 0; j < group; ++j) differing |= magnitude_key(x[i + j]) ^ one;
  std::uint32_t bit = std::bit_floor(differing);
  reached_bound found{bit == 0 ? one : one & ~(2 * bit - 1), n};
  for (; bit > 0 && found.count > most; bit >>= 1) {
    std::uint32_t const bound = found.low | bit;
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < n; i += group)
      for (std::size_t j = 0; j < group; ++j) count += magnitude_key(x[i + j]) >= bound;
    if (count >= least) found = {bound, count};
  }
  return found;
}

/// A key that at least k of the n values reach, and not many more.
inline std::uint32_t key_reached(instruction_set isa, float const* x, std::size_t n, std::size_t k, float* largest) {
  std::size_t const columns = bound_columns(n, k);
  if (columns == 0) return 0;
  std::uint32_t low = 0;
  run_narrow(isa, [&] {
    for (std::size_t c = 0; c < columns; ++c) largest[c] = bits_float(magnitude_key(x[c]));
    for (std::size_t first = columns; first < n; first += columns) {
      std::size_t const m = std::min(columns, n - first);
      for (std::size_t c = 0; c < m; ++c) {
        std::uint32_t const a = magnitude_key(x[first + c]), b = float_bits(largest[c]);
        largest[c] = bits_float(a > b ? a : b);
      }
    }
    low = bound_for(largest, columns, k, k + k / 4).low;
  });
  return low;
}

/// The k values of largest magnitude of n <= tile_values, by index, which counts from `base`; NaN ranks above Inf, of
/// equals the smaller index wins. 1 <= k <= n.
inline void select_in_block(instruction_set isa, float const* x, std::size_t n, std::size_t k, std::uint32_t base,
                            block_candidates& spare, std::uint32_t* out_index, float* out_value) {
  if (k == n) {
    for (std::size_t i = 0; i < n; ++i) out_index[i] = base + static_cast<std::uint32_t>(i);
    std::memcpy(out_value, x, n * sizeof(float));
    return;
  }
  std::size_t const count = offsets_reaching(isa, x, n, key_reached(isa, x, n, k, spare.value), spare.offset);
  run_narrow(isa, [&] {
    for (std::size_t j = 0; j < count; ++j) spare.value[j] = x[spare.offset[j]];
    reached_bound const bound = bound_for(spare.value, count, k, k);
    // More than k reach it only if values repeat: then it is the k-th largest key.
    std::size_t ties = k;
    for (std::size_t j = 0; j < count && bound.count > k; ++j) ties -= magnitude_key(spare.value[j]) > bound.low;
    for (std::size_t j = 0, at = 0; at < k; ++j) {
      std::uint32_t const key = magnitude_key(spare.value[j]);
      bool const tie = (key == bound.low) & (ties > 0);
      out_index[at] = base + spare.offset[j];
      out_value[at] = spare.value[j];
      ties -= tie;
      at += (key > bound.low) | tie;
    }
  });
}

}  // namespace detail
CCOMP_END
