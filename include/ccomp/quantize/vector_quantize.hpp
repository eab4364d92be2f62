#pragma once

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/layout.hpp>
#include <ccomp/engine/host/code_row.hpp>
#include <ccomp/engine/host/nearest_word.hpp>
#include <ccomp/engine/host/vector_tile.hpp>
#include <ccomp/quantize/block_gain.hpp>
#include <ccomp/quantize/vector_codebook.hpp>

#include <algorithm>
#include <span>
#include <string>

CCOMP_BEGIN
namespace detail {

/// What vector_quantize codes, and so what words can be trained for.
constexpr bool is_coded_dim(int dim) { return dim == 2 || dim == 4 || dim == 8; }
constexpr bool are_coded_bits(int bits) { return bits >= 1 && bits <= 16; }

/// The words of a stage without a codebook: all combinations of Lloyd-Max levels, as many bits for each number as for the
/// others, or one more for the first ones.
vector_codebook level_codebook(codebook_shape shape);
template <int Dim, int Bits> vector_codebook const& level_codebook() {
  // Two parts are searched faster than many words; 13 and 15 bits cannot be halved.
  static vector_codebook const book = level_codebook({Dim, Bits, Bits > 12 && Bits % 2 == 0 ? 2 : 1});
  return book;
}

/// Part p of a codebook's words.
inline word_list part_of(vector_codebook const& book, int p) {
  auto const shape = book.shape();
  std::size_t const words = shape.part_words(), dim = static_cast<std::size_t>(shape.part_dim());
  auto const first = static_cast<std::size_t>(p) * words;
  return {book.values().data() + first * dim, book.halves().data() + first, words};
}

/// The vectors of a tile and their words.
template <std::size_t Dim> struct word_tile : vector_tile<Dim> {
  float word[Dim][vector_tile<Dim>::vectors];

  /// sums = the products of each vector's numbers with those of its word.
  [[gnu::always_inline]] void multiply_words(std::size_t count, float const (&with)[Dim][vector_tile<Dim>::vectors]) {
    for (std::size_t v = 0; v < count; ++v) this->sums[v] = 0;
    for (std::size_t i = 0; i < Dim; ++i)
      for (std::size_t v = 0; v < count; ++v)
        this->sums[v] =
            detail::add(this->sums[v], mul(static_cast<double>(word[i][v]), static_cast<double>(with[i][v])));
  }
};
/// The passes over tiles of vectors, for words of any number of bits.
template <std::size_t Dim> struct word_coder {
  using tile_type = word_tile<Dim>;

  vector_codebook const& book;
  std::size_t block;
  codebook_shape shape = book.shape();

  [[nodiscard]] std::size_t code_bytes(std::size_t n) const { return packed_bytes(ceil_div(n, Dim), shape.bits); }

  /// Calls `f(part_dim)` with the values of a part of a word, an integral constant.
  template <class F> [[gnu::always_inline]] void with_part_dim(F const& f) const {
    switch (shape.part_dim()) {
      case 1:
        return f(std::integral_constant<std::size_t, 1>{});
      case 2:
        return f(std::integral_constant<std::size_t, 2>{});
      case 4:
        return f(std::integral_constant<std::size_t, 4>{});
      default:
        return f(std::integral_constant<std::size_t, 8>{});
    }
  }
  /// codes = the words next to the first `count` vectors of the tile.
  void find(instruction_set isa, tile_type const& tile, std::size_t count, std::uint16_t* codes) const {
    std::int32_t at[tile_type::vectors];
    std::fill(codes, codes + count, std::uint16_t{0});
    for (int p = 0; p < shape.parts; ++p) {
      with_part_dim([&](auto part_dim) {
        constexpr std::size_t part = decltype(part_dim)::value;
        find_words<part>(isa, tile.x[static_cast<std::size_t>(p) * part], tile_type::vectors, tile_type::padded(count),
                         part_of(book, p), at);
      });
      int const shift = p * shape.part_bits();
      for (std::size_t v = 0; v < count; ++v) codes[v] = static_cast<std::uint16_t>(codes[v] | at[v] << shift);
    }
  }
  /// word[i][v] = number i of the word of code v.
  template <class Rows>
  [[gnu::always_inline]] void look_up(std::uint16_t const* codes, std::size_t count, Rows& word) const {
    with_part_dim([&](auto part_dim) {
      constexpr std::size_t part = decltype(part_dim)::value;
      std::size_t const words = shape.part_words();
      float const* values = book.values().data();
      for (std::size_t first = 0, shift = 0; first < Dim; first += part, values += words * part) {
        for (std::size_t v = 0; v < count; ++v) {
          float const* const from = values + (std::size_t{codes[v]} >> shift & (words - 1)) * part;
          for (std::size_t i = 0; i < part; ++i) word[first + i][v] = from[i];
        }
        shift += static_cast<std::size_t>(shape.part_bits());
      }
    });
  }

  void encode(instruction_set isa, tile_type& tile, float const* x, std::size_t n, std::byte* side,
              float* gains) const {
    std::size_t const count = tile_type::count_of(n), whole = block / Dim, blocks = ceil_div(count, whole);
    double squares[tile_values / 16];
    float scales[tile_values / 16];
    std::uint16_t codes[tile_type::vectors];
    auto const for_blocks = [&](auto const& f) {
      for (std::size_t b = 0; b < blocks; ++b) f(b, b * whole, std::min(whole, count - b * whole));
    };
    run_narrow(isa, [&] {
      tile.load(x, n);
      tile.square(count);
      for_blocks([&](std::size_t b, std::size_t first, std::size_t vectors) {
        squares[b] = tile.fold(first, vectors, whole);
        scales[b] = block_scale(squares[b], std::min(block, n - b * block));
        tile.multiply(first, vectors, inverse_or_zero(scales[b], scales[b] > 0));
      });
    });
    find(isa, tile, count, codes);
    double products[tile_values / 16];
    run_narrow(isa, [&] {
      look_up(codes, count, tile.word);
      // What the last group lacks counts neither for the product, where it is zero, nor for the length.
      for (std::size_t i = n % Dim; i > 0 && i < Dim; ++i) tile.word[i][count - 1] = 0;
      tile.multiply_words(count, tile.x);
      for_blocks([&](std::size_t b, std::size_t first, std::size_t vectors) {
        products[b] = tile.fold(first, vectors, whole);
      });
      tile.multiply_words(count, tile.word);
      for_blocks([&](std::size_t b, std::size_t first, std::size_t vectors) {
        gains[b] = block_gain(squares[b], scales[b], products[b], tile.fold(first, vectors, whole));
      });
      write_codes(codes, count, shape.bits, side);
    });
  }
  void decode(instruction_set isa, tile_type& tile, std::byte const* side, float const* gains, std::size_t n,
              float* out) const {
    std::size_t const count = tile_type::count_of(n), whole = block / Dim;
    std::uint16_t codes[tile_type::vectors];
    run_narrow(isa, [&] {
      read_codes(side, count, shape.bits, codes);
      look_up(codes, count, tile.x);
      for (std::size_t first = 0, b = 0; first < count; first += whole, ++b)
        for (std::size_t i = 0; i < Dim; ++i)
          for (std::size_t v = first; v < std::min(first + whole, count); ++v)
            tile.x[i][v] = canonical(saturating_mul(tile.x[i][v], gains[b]));
      tile.store(out, n);
    });
  }
};

}  // namespace detail

/// Sends each group of Dim values as the nearest of 2^Bits words, with a gain per block.
///
/// Shapes:      in [n] -> codes [ceil(n / Dim)] of Bits bits, carrier [ceil(n / block)]: one gain per block. Missing values
///              of the last group count as zeros in the search, and not at all in the gain
/// Payload:     pad16(ceil(ceil(n / Dim) Bits / 8)) + the payload of the gains, float for every element type; depends on n
///              only
/// Words:       those of `codebook`; see vector_codebook and train_codebook. Without one, all combinations of Lloyd-Max levels,
///              what nonuniform sends: 14 and 16 bits as a product of two parts, all others as one part. A product
///              codebook sends a word per part
/// Scale:       values are divided by the root of the mean square of their block; the gain is what leaves the block the
///              least squared error
/// Rounding:    to the word with the smallest distance. Compared is |w|^2 / 2 - <x, w> in float32, by one fused
///              multiply-add per number, in their order
/// Ties:        of words as near, the one with the smaller number, in each part
/// Guarantee:   |x - Q(x)| <= |x| for each block, but for the rounding of the gain
/// Linear:      no
/// Determinism: bitwise the same on every engine, thread count and run
/// NaN, Inf:    make their block NaN, and no other block. Blocks whose root mean square is below 2^-118 decode to zero
/// Throws:      invalid_argument: block is not a power of two in 16..4096; a codebook of another dim or number of bits; no
///              codebook, and more than 5 bits per value
/// Source:      Gray, "Vector Quantization", IEEE ASSP Magazine 1, 1984; products: Jegou, Douze, Schmid, "Product
///              Quantization for Nearest Neighbor Search", IEEE Trans. PAMI 33, 2011
template <int Dim, int Bits> struct vector_quantize {
  static_assert(detail::is_coded_dim(Dim), "ccomp: vector_quantize codes 2, 4 or 8 values together");
  static_assert(detail::are_coded_bits(Bits), "ccomp: vector_quantize has 1 to 16 bits per group");
  static constexpr std::string_view name = "vector_quantize";
  static constexpr bool is_linear = false;
  static constexpr bool is_unbiased = false;
  static constexpr bool carries_floats = true;  // gains may lie beyond the range of a 16-bit tensor
  static std::string argument() { return detail::sentence(Dim, "x", Bits); }

  vector_codebook codebook{};
  std::uint32_t block = 512;

  static constexpr auto fields() {
    return std::tuple{field{"codebook", &vector_quantize::codebook}, field{"block", &vector_quantize::block}};
  }
  void validate() const {
    auto const shape = codebook.shape();
    detail::expects(codebook.empty() ? Bits <= 5 * Dim : shape.dim == Dim && shape.bits == Bits, [&] {
      if (codebook.empty())
        return detail::sentence("vector_quantize<", argument(), ">: more than 5 bits per value need a codebook");
      return detail::sentence("vector_quantize<", argument(), ">: the codebook has words of ", shape.dim,
                              " values and ", shape.bits, " bits");
    });
  }

  [[nodiscard]] vector_codebook const& words() const {
    return codebook.empty() ? detail::level_codebook<Dim, Bits>() : codebook;
  }
  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    return detail::packed_bytes(detail::ceil_div(n, std::size_t{Dim}), Bits);
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const { return detail::ceil_div(n, block); }
  /// The gain is that of a projection: the error is never larger than the block.
  [[nodiscard]] double contraction(std::size_t) const { return 0; }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte> side,
                     std::span<float> carrier, std::span<std::byte>, pass_options const&) const {
    coder const c{words(), block};
    detail::for_vector_tiles<tile_type>(
        ex, in.size(), [&](instruction_set isa, tile_type& tile, std::size_t first, std::size_t n) {
          c.encode(isa, tile, in.data() + first, n, side.data() + c.code_bytes(first), carrier.data() + first / block);
        });
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const> side, std::span<float const> carrier,
              std::span<float> out, std::span<std::byte>, pass_options const&) const {
    coder const c{words(), block};
    detail::for_vector_tiles<tile_type>(
        ex, out.size(), [&](instruction_set isa, tile_type& tile, std::size_t first, std::size_t n) {
          c.decode(isa, tile, side.data() + c.code_bytes(first), carrier.data() + first / block, n, out.data() + first);
        });
  }

 private:
  using coder = detail::word_coder<std::size_t{Dim}>;
  using tile_type = typename coder::tile_type;
};

// Those of stage_list.hpp: a program compiles others itself.
template <> inline constexpr bool detail::standard_stage<vector_quantize<4, 8>> = true;
template <> inline constexpr bool detail::standard_stage<vector_quantize<2, 8>> = true;
template <> inline constexpr bool detail::standard_stage<vector_quantize<8, 8>> = true;
template <> inline constexpr bool detail::standard_stage<vector_quantize<8, 16>> = true;

CCOMP_END

#if CCOMP_DEFINITIONS
#include <ccomp/quantize/nonuniform.hpp>

CCOMP_BEGIN
namespace detail {

/// All Lloyd-Max levels of so many bits, ascending.
template <int Bits> void append_levels(std::vector<float>& all) {
  auto const& half = lloyd_max_levels<Bits>;
  for (std::size_t i = half.size(); i-- > 0;) all.push_back(-half[i]);
  all.insert(all.end(), half.begin(), half.end());
}
[[CCOMP_SMALL]] CCOMP_FUNCTION vector_codebook level_codebook(codebook_shape shape) {
  std::vector<float> levels[6] = {{0.0f}};
  append_levels<1>(levels[1]);
  append_levels<2>(levels[2]);
  append_levels<3>(levels[3]);
  append_levels<4>(levels[4]);
  append_levels<5>(levels[5]);
  int const dim = shape.part_dim(), each = shape.part_bits() / dim, more = shape.part_bits() % dim;
  std::vector<float> values;
  for (int p = 0; p < shape.parts; ++p)
    for (std::size_t w = 0; w < shape.part_words(); ++w)
      for (int i = 0, shift = 0; i < dim; ++i) {
        int const bits = each + (i < more ? 1 : 0);
        auto const& mine = levels[static_cast<std::size_t>(bits)];
        values.push_back(mine[w >> shift & (mine.size() - 1)]);
        shift += bits;
      }
  return {shape, std::move(values)};
}

}  // namespace detail
CCOMP_END
#endif

#if CCOMP_DEVICE_CODE
#include <ccomp/quantize/vector_quantize.cuh>
#endif
