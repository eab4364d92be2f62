#pragma once
/// How a tile in registers becomes a payload and back: through a quantizer's scalar pieces, or as raw values.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/scalar_pieces.hpp>
#include <ccomp/engine/cuda/tile.cuh>
#include <ccomp/engine/cuda/transform.cuh>

CCOMP_BEGIN
namespace detail {

// ---- A lane's four codes, packed into and taken out of the bit stream of a row: 128 codes of `bits` bits are 4 bits words
// of 32 bits, so that rows start on 16 bytes.

/// Code c of a lane stands at bit c * bits of its word.
__device__ inline std::uint32_t join_codes(std::uint32_t const (&codes)[4], int bits) {
  std::uint32_t word = 0;
  CCOMP_UNROLL
  for (int c = 0; c < 4; ++c) word |= codes[c] << (c * bits);
  return word;
}
__device__ inline std::uint32_t split_code(std::uint32_t word, int c, int bits) {
  return word >> (c * bits) & ((1u << bits) - 1u);
}

/// Writes the words of a row that begin below `end` bytes, the padded length of all codes. `row` is where the row
/// starts, `offset` how many bytes that is from the first code.
__device__ inline void store_row(std::byte* codes, std::uint64_t offset, std::uint64_t end, std::uint32_t mine,
                                 int bits, unsigned lane) {
  auto const b = static_cast<unsigned>(bits);
  std::uint32_t word = mine;
  if (b < 8) {  // word w begins within the codes of lane 8 w / b, and takes those of the lanes that follow
    unsigned const from = 8 * lane / b;
    word = 0;
    for (unsigned j = 0; 4 * b * j < 32 + 4 * b; ++j) {
      std::uint32_t const other = __shfl_sync(full_warp, mine, static_cast<int>((from + j) % 32));
      int const shift = static_cast<int>(4 * b * (from + j)) - static_cast<int>(32 * lane);
      if (from + j < 32 && shift < 32) word |= shift < 0 ? other >> -shift : other << shift;
    }
  }
  std::uint64_t const place = offset + 4 * lane;
  if (lane < 4 * b && place < end) *reinterpret_cast<std::uint32_t*>(codes + place) = word;
}

/// The lane's codes of a row; `count` of them are wanted, no byte past the last of these is read but for padding.
__device__ inline std::uint32_t load_row(std::byte const* codes, std::uint64_t offset, int bits, unsigned lane,
                                         unsigned count) {
  auto const b = static_cast<unsigned>(bits);
  if (count == 0) return 0;
  unsigned const bit = 4 * b * lane, shift = bit % 32;
  auto const* const words = reinterpret_cast<std::uint32_t const*>(codes + offset) + bit / 32;
  std::uint32_t const low = words[0] >> shift;
  return shift + count * b > 32 ? low | words[1] << (32 - shift) : low;
}

// ---- coders

/// What codes a payload, and where its parts lie for n values.
struct block_layout {
  std::uint64_t side = 0;   // bytes of parameters, padded: where codes begin
  std::uint64_t codes = 0;  // bytes of codes (or raw values), padded
  std::uint32_t block = 1;
  int bits = 32;
  std::uint32_t parameter_bytes = 0;         // of a block; 0: raw values, no quantizer
  element_type raw = element_type::float32;  // their type
  float prescale = 1;                        // of raw float16
  std::uint64_t seed = 0;                    // of stochastic rounding

  CCOMP_HD void measure(std::uint64_t n) {
    bool const quantized = parameter_bytes > 0;
    side = quantized ? pad16(ceil_div(n, block) * parameter_bytes) : 0;
    codes = pad16(quantized ? packed_bytes(n, bits) : n * element_bytes(raw));
  }
};

template <std::size_t Bytes> struct alignas(8) shared_bytes {
  unsigned char bytes[Bytes];
};

/// Scalar pieces S on tiles of whole blocks. What only decodes has no statistic.
template <class S, class Team> struct quantizer_coder {
  using parameters = typename S::parameters;
  struct coded {
    parameters p[Team::rows];
    std::uint32_t codes[Team::rows];
  };
  S pieces;

  __device__ void encode(block_layout const& l, device_random const& random, std::uint64_t first, std::uint8_t phase,
                         tile_place const& at, warp_tile<Team> const& x, coded& c) const {
    fit_blocks(l, at, x, c);
    code_rows(l, random, first, phase, at, x, c);
  }
  /// The parameters of every value's block.
  __device__ void fit_blocks(block_layout const& l, tile_place const& at, warp_tile<Team> const& x, coded& c) const {
    if (Team::warps > 1 && l.block > Team::warp_values)
      fit_wide(l, at, x, c);
    else
      fit_rows(l, at, x, c);
  }
  __device__ void store(block_layout const& l, tile_place const& at, coded const& c, std::byte* payload) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      std::uint64_t const row = at.base + static_cast<unsigned>(r) * row_values;
      if (row >= at.n) break;
      store_row(payload + l.side, row / row_values * 16 * static_cast<unsigned>(l.bits), l.codes, c.codes[r], l.bits,
                at.lane);
    }
    store_parameters(l, at, c, payload);
  }
  __device__ void store_parameters(block_layout const& l, tile_place const& at, coded const& c,
                                   std::byte* payload) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      std::uint64_t const i = at.index(r);
      if ((i & (l.block - 1)) == 0 && i < at.n)
        memcpy(parameters_at(payload, i / l.block), &c.p[r], sizeof(parameters));
    }
    if (at.base != 0) return;
    std::uint64_t const used = ceil_div(at.n, l.block) * sizeof(parameters), place = used + 4 * at.lane;
    if (place < l.side) *reinterpret_cast<std::uint32_t*>(payload + place) = 0;
  }
  __device__ void load(block_layout const& l, tile_place const& at, std::byte const* payload, coded& c) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      std::uint64_t const row = at.base + static_cast<unsigned>(r) * row_values, i = at.index(r);
      c.codes[r] = load_row(payload + l.side, row / row_values * 16 * static_cast<unsigned>(l.bits), l.bits, at.lane,
                            at.count(r));
      c.p[r] = bad_parameters<parameters>();
      if (i < at.n) memcpy(&c.p[r], parameters_at(payload, i / l.block), sizeof(parameters));
    }
  }
  /// The four values of a row.
  __device__ void decode_row(block_layout const& l, coded const& c, int r, float (&v)[4]) const {
    bool const good = good_parameters(c.p[r]);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) v[j] = good ? pieces.value(split_code(c.codes[r], j, l.bits), c.p[r]) : canonical_nan();
  }
  __device__ void add_row(block_layout const& l, coded const& c, int r, float (&v)[4]) const {
    bool const good = good_parameters(c.p[r]);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j)
      v[j] = good ? add(v[j], pieces.value(split_code(c.codes[r], j, l.bits), c.p[r])) : canonical_nan();
  }

 protected:
  /// Payloads begin on 16 bytes. Not told so, nvcc would move parameters byte by byte.
  template <class Byte> static __device__ Byte* parameters_at(Byte* payload, std::uint64_t i) {
    constexpr std::size_t size = sizeof(parameters), aligned = (size & (size - 1)) == 0 ? size : alignof(parameters);
    return static_cast<Byte*>(__builtin_assume_aligned(payload + i * size, aligned < 16 ? aligned : 16));
  }

  /// Parameters of the block that the lane's values of row r belong to.
  template <class Collector>
  __device__ parameters fit(block_layout const& l, tile_place const& at, int r, Collector const& s,
                            unsigned lanes) const {
    auto const statistic = s.finish(lanes);
    std::uint64_t const start = at.index(r) & ~std::uint64_t{l.block - 1}, left = start < at.n ? at.n - start : 1;
    return statistic.finite() ? pieces.fit(statistic, left < l.block ? left : l.block) : bad_parameters<parameters>();
  }
  /// Blocks that lie within a warp's part.
  __device__ void fit_rows(block_layout const& l, tile_place const& at, warp_tile<Team> const& x, coded& c) const {
    unsigned const rows = l.block < row_values ? 1 : l.block / row_values;
    unsigned const lanes = l.block < row_values ? l.block / 4 : 32;
    lane_statistic<typename S::statistic> s;
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      s.add_row(x.v[r], at.count(r));
      if ((static_cast<unsigned>(r + 1) & (rows - 1)) != 0) continue;
      c.p[r] = fit(l, at, r, s, lanes);
      s = {};
    }
    CCOMP_UNROLL
    for (int r = Team::rows - 1; r-- > 0;)
      if ((static_cast<unsigned>(r + 1) & (rows - 1)) != 0) c.p[r] = c.p[r + 1];  // what the block's last row found
  }
  /// Blocks of several warps: each goes on from what the warp before it collected, in the order of the values.
  __device__ void fit_wide(block_layout const& l, tile_place const& at, warp_tile<Team> const& x, coded& c) const {
    using collector = lane_statistic<typename S::statistic>;
    static_assert(std::is_trivially_copyable_v<collector>);
    CCOMP_SHARED(shared_bytes<sizeof(collector)>[32 * Team::warps], collected);
    unsigned const warps = static_cast<unsigned>(l.block / Team::warp_values);
    collector s;
    __syncthreads();  // whatever was here before has been read
    for (unsigned w = 0; w < Team::warps; ++w) {
      if (at.warp == w) {
        if ((w & (warps - 1)) != 0) memcpy(static_cast<void*>(&s), &collected[32 * (w - 1) + at.lane], sizeof s);
        CCOMP_UNROLL
        for (int r = 0; r < Team::rows; ++r) s.add_row(x.v[r], at.count(r));
        memcpy(&collected[32 * w + at.lane], &s, sizeof s);
      }
      __syncthreads();
    }
    memcpy(static_cast<void*>(&s), &collected[32 * (at.warp | (warps - 1)) + at.lane], sizeof s);
    parameters const p = fit(l, at, 0, s, 32);
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) c.p[r] = p;
  }
  __device__ void code_rows(block_layout const& l, device_random const& random, std::uint64_t first, std::uint8_t phase,
                            tile_place const& at, warp_tile<Team> const& x, coded& c) const {
    random_stream const stream = random.stream(l.seed, random.rank, use_rounding, phase);
    static_assert(Team::rows % 2 == 0);
    CCOMP_UNROLL
    for (int pair = 0; pair < Team::rows; pair += 2) {
      random_rows bits;
      if constexpr (needs_random<S>)
        if (draws_random(pieces)) bits = {stream, first + at.base + static_cast<unsigned>(pair) * row_values, at.lane};
      CCOMP_UNROLL
      for (int r = pair; r < pair + 2; ++r) {
        std::uint32_t codes[4] = {};
        unsigned const count = at.count(r);
        bool const good = good_parameters(c.p[r]);
        CCOMP_UNROLL
        for (unsigned j = 0; j < 4; ++j)
          if (good && j < count) codes[j] = pieces.code(x.v[r][j], c.p[r], bits.bits(r, static_cast<int>(j)));
        c.codes[r] = join_codes(codes, l.bits);
      }
    }
  }
};

/// Values as they are, in the element type `raw`.
template <class Team> struct raw_coder {
  struct coded {
    float v[Team::rows][4];
  };

  __device__ void encode(block_layout const& l, device_random const&, std::uint64_t, std::uint8_t, tile_place const&,
                         warp_tile<Team> const& x, coded& c) const {
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) {
      CCOMP_UNROLL
      for (int j = 0; j < 4; ++j) {
        float const v = l.prescale == 1.0f ? x.v[r][j] : mul(x.v[r][j], l.prescale);
        c.v[r][j] = l.raw == element_type::float32 ? canonical(v) : widen_bits(l.raw, narrow_bits(l.raw, v));
      }
    }
  }
  __device__ void store(block_layout const& l, tile_place const& at, coded const& c, std::byte* payload) const {
    device_values const to = values_in(l, payload);
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) store_quad(to, at.index(r), at.n, c.v[r]);
    if (at.base != 0) return;
    std::uint64_t const place = at.n * element_bytes(l.raw) + 2 * at.lane;
    if (place < l.codes) *reinterpret_cast<std::uint16_t*>(payload + place) = 0;
  }
  __device__ void load(block_layout const& l, tile_place const& at, std::byte const* payload, coded& c) const {
    device_values const from = values_in(l, payload);
    CCOMP_UNROLL
    for (int r = 0; r < Team::rows; ++r) load_quad(from, at.index(r), at.n, c.v[r]);
  }
  __device__ void decode_row(block_layout const& l, coded const& c, int r, float (&v)[4]) const {
    float const back = div(1.0f, l.prescale);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) v[j] = l.prescale == 1.0f ? c.v[r][j] : mul(c.v[r][j], back);
  }
  __device__ void add_row(block_layout const& l, coded const& c, int r, float (&v)[4]) const {
    float term[4];
    decode_row(l, c, r, term);
    CCOMP_UNROLL
    for (int j = 0; j < 4; ++j) v[j] = add(v[j], term[j]);
  }

 private:
  __device__ static device_values values_in(block_layout const& l, std::byte const* payload) {
    device_values m;
    m.data = const_cast<std::byte*>(payload);
    m.type = l.raw;
    m.whole = true;  // payloads start on 16 bytes
    return m;
  }
};

}  // namespace detail
CCOMP_END
