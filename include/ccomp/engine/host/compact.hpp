#pragma once
/// Finds the values of a tile whose magnitude reaches a bound, without a branch per value: the cost does not depend on
/// what the values are.

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/quantizer.hpp>
#include <ccomp/engine/host/x86.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

CCOMP_BEGIN
namespace detail {

/// Every variant stores whole vectors, so that a buffer of offsets has room for one more than the tile has values.
inline constexpr std::size_t offset_slack = 16;
using tile_offsets = std::uint32_t[tile_values + offset_slack];

/// Asks for the line 4 KiB further on. The loops below do too much for the processor to run that far ahead by itself:
/// without this they take half again as long (measured); with it, as long as reading.
[[gnu::always_inline]] inline void fetch_ahead(float const* x) {
  __builtin_prefetch(reinterpret_cast<void const*>(reinterpret_cast<std::uintptr_t>(x) + 4096));
}

#if CCOMP_X86_VARIANTS
[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX512)]] inline std::size_t offsets_reaching_avx512(float const* x, std::size_t n,
                                                                                     std::uint32_t key,
                                                                                     std::uint32_t* out) {
  int_x16 const bound = int_x16{} + static_cast<std::int32_t>(key);
  int_x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  std::size_t found = 0;
  for (std::size_t i = 0; i < n; i += 16, lane += 16) {
    fetch_ahead(x + i);
    int_x16 bits{};
    unsigned inside = 0xffff;
    if (n - i >= 16) {
      load_vector(bits, x + i);
    } else {
      inside = (1u << (n - i)) - 1u;
      std::memcpy(&bits, x + i, (n - i) * sizeof *x);
    }
    int_x16 hits;
    unsigned const set = compress_reaching(bits & 0x7fffffff, bound, inside, lane, hits);
    store_vector(hits, out + found);
    found += static_cast<std::size_t>(__builtin_popcount(set));
  }
  return found;
}

/// For each set of lanes, those lanes side by side.
struct lane_table {
  std::uint8_t lanes[256][8];
  constexpr lane_table() : lanes{} {
    for (unsigned set = 0; set < 256; ++set) {
      unsigned place = 0;
      for (unsigned lane = 0; lane < 8; ++lane)
        if ((set >> lane & 1u) != 0) lanes[set][place++] = static_cast<std::uint8_t>(lane);
    }
  }
};
inline constexpr lane_table lanes_of{};

[[CCOMP_X86_TARGET(CCOMP_TARGET_AVX2)]] inline std::size_t offsets_reaching_avx2(float const* x, std::size_t n,
                                                                                 std::uint32_t key,
                                                                                 std::uint32_t* out) {
  // Keys have a clear sign bit, so that the signed comparison serves; nothing is above a bound of 2^31 or more.
  if (key > 0x7fffffffu) return 0;
  int_x8 const below = int_x8{} + (static_cast<std::int32_t>(key) - 1);
  std::size_t found = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    fetch_ahead(x + i);
    int_x8 bits;
    load_vector(bits, x + i);
    unsigned const set = sign_bits((bits & 0x7fffffff) > below);
    int_x8 lanes;
    widen_bytes(lanes_of.lanes[set], lanes);
    store_vector(lanes + static_cast<std::int32_t>(i), out + found);
    found += static_cast<std::size_t>(__builtin_popcount(set));
  }
  for (; i < n; ++i) {
    out[found] = static_cast<std::uint32_t>(i);
    found += magnitude_key(x[i]) >= key;
  }
  return found;
}
#endif

/// Offsets of the values with `magnitude_key(x) >= key`, ascending; returns how many. n <= tile_values.
inline std::size_t offsets_reaching(instruction_set isa, float const* x, std::size_t n, std::uint32_t key,
                                    tile_offsets& out) {
#if CCOMP_X86_VARIANTS
  if (isa == instruction_set::avx512) return offsets_reaching_avx512(x, n, key, out);
  if (isa == instruction_set::avx2) return offsets_reaching_avx2(x, n, key, out);
#endif
  static_cast<void>(isa);
  // Without a vector instruction that compacts, groups in which nothing reaches the bound are passed over.
  constexpr std::size_t group = 16;
  std::size_t found = 0;
  for (std::size_t i = 0; i < n; i += group) {
    fetch_ahead(x + i);
    std::size_t const m = n - i < group ? n - i : group;
    std::uint32_t most = 0;
    for (std::size_t j = 0; j < m; ++j) {
      std::uint32_t const k = magnitude_key(x[i + j]);
      most = k > most ? k : most;
    }
    if (most < key) continue;
    for (std::size_t j = 0; j < m; ++j) {
      out[found] = static_cast<std::uint32_t>(i + j);
      found += magnitude_key(x[i + j]) >= key;
    }
  }
  return found;
}

}  // namespace detail
CCOMP_END
