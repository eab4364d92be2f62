#pragma once
/// The checksum of frames and saved state: a sum over words, each mixed with its place, so that any order and any
/// number of threads (or a GPU in the same pass) gives the same number.

#include <ccomp/core/random.hpp>

#include <cstddef>
#include <cstring>
#include <span>

CCOMP_BEGIN
namespace detail {

/// The part of one 8-byte word; `place` counts words. Odd multipliers make any change of one word visible for certain.
CCOMP_HD constexpr std::uint64_t checksum_term(std::uint64_t word, std::uint64_t place) {
  std::uint64_t const mixed = (word ^ (word >> 32)) * 0x9E3779B97F4A7C15u;
  return (mixed ^ (mixed >> 29)) * (2 * place + 0xD1B54A32D192ED03u);
}

inline std::uint64_t checksum_range(std::byte const* data, std::size_t first_word, std::size_t words) {
  std::uint64_t sum = 0;
  for (std::size_t i = first_word; i < first_word + words; ++i) {
    std::uint64_t w;
    std::memcpy(&w, data + 8 * i, 8);
    sum += checksum_term(w, i);
  }
  return sum;
}

/// What the words of a range contribute; the last word is filled up with zeros, and the length is part of the sum.
inline std::uint64_t checksum_ends(std::span<std::byte const> bytes) {
  std::size_t const words = bytes.size() / 8, left = bytes.size() % 8;
  std::uint64_t w = 0;
  if (left == 0) return mix64(bytes.size() + 1);
  std::memcpy(&w, bytes.data() + 8 * words, left);
  return mix64(bytes.size() + 1) + checksum_term(w, words);
}
inline std::uint64_t checksum(std::span<std::byte const> bytes) {
  return checksum_ends(bytes) + checksum_range(bytes.data(), 0, bytes.size() / 8);
}

}  // namespace detail
CCOMP_END
