#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/layout.hpp>
#include <ccomp/engine/host/vector_tile.hpp>
#include <ccomp/quantize/block_gain.hpp>
#include <ccomp/quantize/e8_point.hpp>

#include <algorithm>
#include <cstring>
#include <span>

CCOMP_BEGIN
namespace detail {

/// A value of a word.
CCOMP_HD inline float e8_value(std::int32_t quarters, float gain) {
  return canonical(saturating_mul(mul(0.25f, static_cast<float>(quarters)), gain));
}

/// The vectors of a tile with their words.
struct e8_tile : vector_tile<e8_size> {
  std::int32_t word[e8_size][vectors];
  std::int32_t outside[vectors];  // numbers of vectors whose next point is no word
  std::int32_t lengths[vectors];
  static constexpr std::size_t lanes = 16;

  /// The point next to each of `all` vectors, a multiple of `lanes`; returns how many of these are no words.
  [[gnu::always_inline]] std::size_t find_nearest(std::size_t all) {
    std::size_t found = 0;
    for (std::size_t first = 0; first < all; first += lanes) {
      std::int32_t inside[lanes];
      for (std::size_t l = 0; l < lanes; ++l) {
        e8_vector z;
        e8_quarters q;
        CCOMP_HOST_UNROLL(8)
        for (int i = 0; i < e8_size; ++i) z[i] = x[i][first + l];
        nearest_e8(z, q);
        inside[l] = is_e8_word(q);
        CCOMP_HOST_UNROLL(8)
        for (int i = 0; i < e8_size; ++i) word[i][first + l] = q[i];
      }
      for (std::size_t l = 0; l < lanes; ++l) {
        outside[found] = static_cast<std::int32_t>(first + l);
        found += inside[l] == 0;
      }
    }
    return found;
  }
  /// Words for the first `found` vectors in `outside`.
  [[gnu::always_inline]] void bring_inside(std::size_t found) {
    for (std::size_t first = 0; first < found; first += lanes) {
      float z[e8_size][lanes] = {};
      std::int32_t q[e8_size][lanes];
      std::size_t const count = std::min(lanes, found - first);
      for (std::size_t l = 0; l < count; ++l)
        for (std::size_t i = 0; i < e8_size; ++i) z[i][l] = x[i][outside[first + l]];
      for (std::size_t l = 0; l < lanes; ++l) {
        e8_vector one;
        e8_quarters near;
        CCOMP_HOST_UNROLL(8)
        for (int i = 0; i < e8_size; ++i) one[i] = z[i][l];
        word_inside(one, near);
        CCOMP_HOST_UNROLL(8)
        for (int i = 0; i < e8_size; ++i) q[i][l] = near[i];
      }
      for (std::size_t l = 0; l < count; ++l)
        for (std::size_t i = 0; i < e8_size; ++i) word[i][outside[first + l]] = q[i][l];
    }
  }
  /// sums = the products of vectors and words, lengths = the squared lengths of the words in quarters, of `n` values.
  [[gnu::always_inline]] void compare(std::size_t all, std::size_t n) {
    for (std::size_t v = 0; v < all; ++v) sums[v] = lengths[v] = 0;
    for (std::size_t i = 0; i < e8_size; ++i)
      for (std::size_t v = 0; v < all; ++v) {
        sums[v] = detail::add(sums[v], static_cast<double>(mul(x[i][v], mul(0.25f, static_cast<float>(word[i][v])))));
        lengths[v] += word[i][v] * word[i][v];
      }
    for (std::size_t i = n; i < round_up(n, e8_size); ++i)
      lengths[i / e8_size] -= word[i % e8_size][i / e8_size] * word[i % e8_size][i / e8_size];
  }
  /// x = the values of the words.
  [[gnu::always_inline]] void fill_values(std::size_t first, std::size_t count, float gain) {
    for (std::size_t i = 0; i < e8_size; ++i)
      for (std::size_t v = first; v < first + count; ++v) x[i][v] = e8_value(word[i][v], gain);
  }
  [[gnu::always_inline]] void write_codes(std::size_t all, std::uint16_t* codes) const {
    for (std::size_t v = 0; v < all; ++v) {
      e8_quarters q;
      CCOMP_HOST_UNROLL(8)
      for (int i = 0; i < e8_size; ++i) q[i] = word[i][v];
      codes[v] = static_cast<std::uint16_t>(e8_code(q));
    }
  }
  [[gnu::always_inline]] void read_codes(std::size_t all, std::uint16_t const* codes) {
    for (std::size_t v = 0; v < all; ++v) {
      e8_quarters q;
      e8_word(codes[v], q);
      CCOMP_HOST_UNROLL(8)
      for (int i = 0; i < e8_size; ++i) word[i][v] = q[i];
    }
  }
};

}  // namespace detail

/// Rounds groups of eight values to 65,536 points of the lattice E8, two bits per value.
///
/// Shapes:      in [n] -> codes [ceil(n / 8)] of 16 bits, carrier [ceil(n / block)]: one gain per block. Missing values of
///              the last group count as zeros
/// Payload:     pad16(2 ceil(n / 8)) + the payload of the gains, float for every element type; depends on n only
/// Words:       the points of E8 + c in the cell around 0 of 4 E8, c = (1/4, ..., 1/4, 5/4), by their coordinates modulo
///              4; e8_point.hpp says which points of the border belong to it. No word is zero
/// Scale:       values are divided by the root of the mean square of their block; the gain is what leaves the block the
///              least squared error
/// Rounding:    to the nearest point of the lattice, in closed form. Where that is no word, the group is shrunk into the
///              cell, and its word moved twice to a better one next to it
/// Guarantee:   |x - Q(x)| <= |x| for each block, but for the rounding of the gain. Mean squared error on Gaussian values:
///              0.094 of their variance (the nearest word of all: 0.093; the best of scalar quantizers: 0.1175)
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose root mean square is below 2^-118 decode to zero
/// Throws:      invalid_argument: block is not a power of two in 16..4096
/// Source:      Conway, Sloane, "Fast Quantizing and Decoding Algorithms for Lattice Quantizers and Codes", IEEE Trans.
///              Information Theory 28, 1982; "A Fast Encoding Method for Lattice Codes and Quantizers", 29, 1983 (codes of
///              nested lattices); the shift by 1/4: Tseng et al., "QuIP#", ICML 2024
struct e8_lattice {
  static constexpr std::string_view name = "e8_lattice";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;
  static constexpr bool carries_floats = true;  // gains may lie beyond the range of a 16-bit tensor

  std::uint32_t block = 512;

  static constexpr auto fields() { return std::tuple{field{"block", &e8_lattice::block}}; }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const { return 2 * detail::ceil_div(n, detail::e8_size); }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return detail::ceil_div(n, block); }
  /// The gain is that of a projection: the error is never larger than the block.
  [[nodiscard]] double contraction(std::size_t) const { return 0; }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte>, pass_options const&) const {
    detail::for_vector_tiles<detail::e8_tile>(
        ex, in.size(), [&](instruction_set isa, detail::e8_tile& tile, std::size_t first, std::size_t n) {
          encode_tile(isa, tile, in.data() + first, n, carrier.data() + first / block, side.data() + first / 4);
        });
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    detail::for_vector_tiles<detail::e8_tile>(
        ex, out.size(), [&](instruction_set isa, detail::e8_tile& tile, std::size_t first, std::size_t n) {
          decode_tile(isa, tile, side.data() + first / 4, carrier.data() + first / block, n, out.data() + first);
        });
  }

 private:
  void encode_tile(instruction_set isa, detail::e8_tile& tile, float const* x, std::size_t n, float* gains,
                   std::byte* side) const {
    using detail::e8_size, detail::e8_tile;
    std::size_t const count = e8_tile::count_of(n), all = e8_tile::padded(count);
    std::size_t const whole = block / e8_size, blocks = detail::ceil_div(count, whole);
    double squares[detail::tile_values / 16];
    float scales[detail::tile_values / 16];
    std::uint16_t codes[e8_tile::vectors];
    detail::run(isa, [&] {
      tile.load(x, n);
      tile.square(count);
      for (std::size_t b = 0; b < blocks; ++b) {
        std::size_t const first = b * whole, vectors = std::min(whole, count - first);
        squares[b] = tile.fold(first, vectors, whole);
        scales[b] = detail::block_scale(squares[b], std::min<std::size_t>(block, n - b * block));
        tile.multiply(first, vectors, detail::inverse_or_zero(scales[b], scales[b] > 0));
      }
      std::size_t const outside = tile.find_nearest(all);
      tile.bring_inside(outside);
      tile.write_codes(all, codes);
      tile.compare(all, n);
      for (std::size_t b = 0; b < blocks; ++b) {
        std::size_t const first = b * whole, vectors = std::min(whole, count - first);
        std::int32_t length = 0;  // in quarters
        for (std::size_t v = first; v < first + vectors; ++v) length += tile.lengths[v];
        gains[b] = detail::block_gain(squares[b], scales[b], tile.fold(first, vectors, whole), length / 16.0);
      }
    });
    std::memcpy(side, codes, 2 * count);
  }
  void decode_tile(instruction_set isa, detail::e8_tile& tile, std::byte const* side, float const* gains, std::size_t n,
                   float* out) const {
    using detail::e8_size, detail::e8_tile;
    std::size_t const count = e8_tile::count_of(n), all = e8_tile::padded(count);
    std::uint16_t codes[e8_tile::vectors];
    std::memcpy(codes, side, 2 * count);
    std::fill(codes + count, codes + all, std::uint16_t{0});
    detail::run(isa, [&] {
      tile.read_codes(all, codes);
      for (std::size_t first = 0, b = 0; first < count; first += block / e8_size, ++b)
        tile.fill_values(first, std::min<std::size_t>(block / e8_size, count - first), gains[b]);
      tile.store(out, n);
    });
  }
};

template <> inline constexpr bool detail::standard_stage<e8_lattice> = true;

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/quantize/e8_lattice.cuh>
#endif
