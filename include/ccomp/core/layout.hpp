#pragma once
/// Sizes that both engines must agree on: how memory is cut, and where the parts of a payload lie.

#include <ccomp/core/config.hpp>

#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

CCOMP_HD constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }
CCOMP_HD constexpr std::size_t ceil_div(std::size_t n, std::size_t by) { return (n + by - 1) / by; }
/// Every part of a payload starts on 16 bytes.
CCOMP_HD constexpr std::size_t pad16(std::size_t bytes) { return round_up(bytes, 16); }
/// Bytes of n codes side by side.
CCOMP_HD constexpr std::size_t packed_bytes(std::size_t n, int bits) {
  return (n * static_cast<std::size_t>(bits) + 7) / 8;
}

/// The longest block. The host handles so many values at once, since what they need (values, codes, random bits) stays
/// in the first-level cache. Blocks are powers of two up to this, so that tiles hold whole blocks.
inline constexpr std::size_t tile_values = 4096;
/// Sums keep so many partial sums: value i goes to number i mod 128. They are folded by halves.
inline constexpr std::size_t partial_sums = 128;
/// Values that share counters of random bits, and how many counters. Bits are drawn for whole groups.
inline constexpr std::size_t random_group = 256, random_group_counters = 32;

/// Values whose sign flips share a counter.
inline constexpr std::size_t sign_group = 128;

static_assert(tile_values % random_group == 0 && random_group % partial_sums == 0);
static_assert(random_group_counters * 128 == random_group * 16, "a counter has 128 bits, a value takes 16");
static_assert(sign_group == 128 && tile_values % sign_group == 0, "a counter has 128 bits, a sign takes one");

}  // namespace detail
CCOMP_END
