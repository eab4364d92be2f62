#pragma once
/// A lane's four codes, packed into and taken out of the bit stream of a row: 128 codes of `bits` bits are 4 bits
/// words of 32 bits, so that rows start on 16 bytes.

#include <ccomp/engine/cuda/tile.cuh>

CCOMP_BEGIN
namespace detail {

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
    for (unsigned k = 0; 4 * b * k < 32 + 4 * b; ++k) {
      std::uint32_t const piece = __shfl_sync(full_warp, mine, static_cast<int>((from + k) % 32));
      int const shift = static_cast<int>(4 * b * (from + k)) - static_cast<int>(32 * lane);
      if (from + k < 32 && shift < 32) word |= shift < 0 ? piece >> -shift : piece << shift;
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

}  // namespace detail
CCOMP_END
