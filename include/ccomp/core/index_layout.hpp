#pragma once
/// How an ascending list of distinct indices is coded: sizes and places, the same for every engine.

#include <ccomp/core/config.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/layout.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

CCOMP_BEGIN

/// raw:       a u32 for each index
/// packed:    Elias-Fano: the low l = floor(log2(n / k)) bits of each side by side, the rest as a row of bits in which
///            the i-th one stands at (index >> l) + i; 2 to 3 bits above the least any code can take
/// bitmap:    a bit for each of the n values
/// automatic: the smallest of these, a function of (n, k)
enum class index_coding { automatic, raw, packed, bitmap };
constexpr auto setting_names(index_coding) {
  return std::array<std::string_view, 4>{"automatic", "raw", "packed", "bitmap"};
}

/// Where the parts of up to `room` coded indices below n lie. Rows of bits are little-endian 64-bit words, low bit
/// first; unused bits are zero. Where every block has the same number of indices, their low bits alone are sent.
struct index_layout {
  index_coding coding = index_coding::raw;
  std::size_t n = 0, room = 0;
  int low_bits = 0;           // packed: bits of each index in the first row
  std::size_t low_bytes = 0;  // packed: size of the first row
  std::size_t map_bytes = 0;  // packed, bitmap: size of the row of ones
  std::size_t per_block = 0;  // indices of each block of 2^low_bits values; 0: no blocks

  constexpr index_layout() = default;
  constexpr index_layout(index_coding how, std::size_t values, std::size_t indices) : n(values), room(indices) {
    if (room == 0) return;
    lay_out(how == index_coding::automatic ? index_coding::raw : how);
    if (how != index_coding::automatic) return;
    for (auto const each : {index_coding::packed, index_coding::bitmap}) {
      index_layout other;
      other.n = n;
      other.room = room;
      other.lay_out(each);
      if (other.bytes() < bytes()) *this = other;
    }
  }

  /// `each` indices in every block of `block` values, a power of two; as many as fit in the last one.
  static constexpr index_layout in_blocks(std::size_t values, std::size_t block, std::size_t each) {
    index_layout l;
    l.coding = index_coding::packed;
    l.n = values;
    l.room = values / block * each + std::min(each, values % block);
    l.low_bits = static_cast<int>(std::bit_width(block)) - 1;
    l.low_bytes = words_for(l.room * static_cast<std::size_t>(l.low_bits));
    l.per_block = each;
    return l;
  }

  [[nodiscard]] constexpr std::size_t bytes() const {
    return coding == index_coding::raw ? 4 * room : low_bytes + map_bytes;
  }

 private:
  constexpr void lay_out(index_coding how) {
    coding = how;
    if (how == index_coding::packed) {
      low_bits = static_cast<int>(std::bit_width(n / room)) - 1;
      low_bytes = words_for(room * static_cast<std::size_t>(low_bits));
      map_bytes = words_for(room + (n >> low_bits) + 1);
    } else if (how == index_coding::bitmap) {
      map_bytes = words_for(n);
    }
  }
  static constexpr std::size_t words_for(std::size_t bits) { return detail::ceil_div(bits, 64) * 8; }
};

namespace detail {

/// Where the one of entry i stands in the row of ones.
CCOMP_HD inline std::size_t one_of(index_layout const& l, std::uint32_t const* index, std::size_t i) {
  return l.coding == index_coding::bitmap ? index[i] : (std::size_t{index[i]} >> l.low_bits) + i;
}
/// The first entry whose one stands at `bit` or later.
CCOMP_HD inline std::size_t first_entry_from(index_layout const& l, std::uint32_t const* index, std::size_t count,
                                             std::size_t bit) {
  std::size_t low = 0, high = count;
  while (low < high) {
    std::size_t const middle = (low + high) / 2;
    if (one_of(l, index, middle) < bit)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace detail
CCOMP_END
