#pragma once
/// Packs codes of 1 to 8 bits, one per byte, into a bit stream and back: code j stands at bit j * bits, low bit first.

#include <ccomp/core/layout.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// Eight codes in the bytes of a word -> their bits side by side, by halving the gaps three times.
template <int Bits> constexpr std::uint64_t squeeze(std::uint64_t x) {
  x = (x & 0x00ff00ff00ff00ffull) | ((x & 0xff00ff00ff00ff00ull) >> (8 - Bits));
  x = (x & 0x0000ffff0000ffffull) | ((x & 0xffff0000ffff0000ull) >> (16 - 2 * Bits));
  return (x & 0x00000000ffffffffull) | ((x >> 32) << (4 * Bits));
}
template <int Bits> constexpr std::uint64_t spread(std::uint64_t x) {
  constexpr std::uint64_t one = (1ull << Bits) - 1, two = (1ull << (2 * Bits)) - 1, four = (1ull << (4 * Bits)) - 1;
  x = (x & four) | (((x >> (4 * Bits)) & four) << 32);
  x = (x & (two | two << 32)) | ((x & ((two | two << 32) << (2 * Bits))) << (16 - 2 * Bits));
  constexpr std::uint64_t ones = one | one << 16 | one << 32 | one << 48;
  return (x & ones) | ((x & (ones << Bits)) << (8 - Bits));
}

template <int Bits> struct packed_word {  // what eight codes are packed into
  using type = std::uint64_t;
};
template <> struct packed_word<1> {
  using type = std::uint8_t;
};
template <> struct packed_word<2> {
  using type = std::uint16_t;
};
template <> struct packed_word<4> {
  using type = std::uint32_t;
};

/// Whole groups of eight codes; a store is as wide as Word, and the next group overwrites what is too many of it.
template <int Bits, class Word>
void pack_groups(std::uint8_t const* CCOMP_RESTRICT codes, std::size_t groups, std::uint8_t* CCOMP_RESTRICT out) {
  for (std::size_t g = 0; g < groups; ++g) {
    std::uint64_t x;
    std::memcpy(&x, codes + 8 * g, 8);
    auto const packed = static_cast<Word>(squeeze<Bits>(x));
    std::memcpy(out + Bits * g, &packed, sizeof(Word));
  }
}
template <int Bits, class Word>
void unpack_groups(std::uint8_t const* CCOMP_RESTRICT in, std::size_t groups, std::uint8_t* CCOMP_RESTRICT codes) {
  for (std::size_t g = 0; g < groups; ++g) {
    Word packed;
    std::memcpy(&packed, in + Bits * g, sizeof(Word));
    std::uint64_t const x = spread<Bits>(packed);
    std::memcpy(codes + 8 * g, &x, 8);
  }
}

/// Groups that may be handled with whole words without touching a byte past the last code's.
template <int Bits> constexpr std::size_t whole_word_groups(std::size_t n) {
  constexpr bool exact = (Bits & (Bits - 1)) == 0;
  std::size_t const groups = n / 8;
  return exact ? groups : groups > 7 ? groups - 7 : 0;
}

/// Writes exactly `packed_bytes(n, Bits)`; codes are below 2^Bits.
template <int Bits> void pack_bits(instruction_set isa, std::uint8_t const* codes, std::size_t n, std::uint8_t* out) {
  if (n == 0) return;
  std::size_t g = whole_word_groups<Bits>(n);
  run(isa, [&] { pack_groups<Bits, typename packed_word<Bits>::type>(codes, g, out); });
  for (; 8 * g < n; ++g) {
    std::size_t const left = n - 8 * g < 8 ? n - 8 * g : 8;
    std::uint64_t x = 0;
    std::memcpy(&x, codes + 8 * g, left);
    x = squeeze<Bits>(x);
    std::memcpy(out + Bits * g, &x, packed_bytes(left, Bits));
  }
}

/// Reads exactly `packed_bytes(n, Bits)`.
template <int Bits> void unpack_bits(instruction_set isa, std::uint8_t const* in, std::size_t n, std::uint8_t* codes) {
  if (n == 0) return;
  std::size_t g = whole_word_groups<Bits>(n);
  run(isa, [&] { unpack_groups<Bits, typename packed_word<Bits>::type>(in, g, codes); });
  for (; 8 * g < n; ++g) {
    std::size_t const left = n - 8 * g < 8 ? n - 8 * g : 8;
    std::uint64_t x = 0;
    std::memcpy(&x, in + Bits * g, packed_bytes(left, Bits));
    x = spread<Bits>(x);
    std::memcpy(codes + 8 * g, &x, left);
  }
}

}  // namespace detail
CCOMP_END
