#pragma once
/// Rows of numbers with the same count of bits, at most 32 each, side by side, low bit first, in words of 32 bits.

#include <ccomp/engine/cuda/launch.cuh>

#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// Word w of a row of `count` numbers of `bits` bits, above 0: `number(i)` is below 2^bits.
template <class Number>
__device__ std::uint32_t row_word(unsigned bits, std::uint64_t count, std::uint64_t w, Number const& number) {
  std::uint64_t const begin = 32 * w;
  std::uint32_t word = 0;
  for (std::uint64_t i = begin / bits; i < count && i * bits < begin + 32; ++i) {
    std::uint32_t const n = number(i);
    std::uint64_t const bit = i * bits;
    word |= bit < begin ? n >> (begin - bit) : n << (bit - begin);
  }
  return word;
}
/// Number i of a row of numbers of `bits` bits, fewer than 32.
__device__ inline std::uint32_t row_number(std::uint32_t const* row, unsigned bits, std::uint64_t i) {
  std::uint64_t const bit = i * bits;
  unsigned const shift = static_cast<unsigned>(bit % 32);
  std::uint32_t n = bits > 0 ? row[bit / 32] >> shift : 0;
  if (shift + bits > 32) n |= row[bit / 32 + 1] << (32 - shift);
  return n & ((1u << bits) - 1u);
}

}  // namespace detail
CCOMP_END
