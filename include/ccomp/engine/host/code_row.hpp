#pragma once
/// Codes of 1 to 16 bits in a bit stream: code j stands at bit j * bits, low bit first. (Codes of bytes: pack.hpp.)

#include <ccomp/core/layout.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// Writes exactly `packed_bytes(n, bits)`; codes are below 2^bits.
[[gnu::always_inline]] inline void write_codes(std::uint16_t const* codes, std::size_t n, int bits, std::byte* out) {
  if (bits == 16) {
    std::memcpy(out, codes, 2 * n);
    return;
  }
  if (bits == 8) {
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(codes[i]);
    return;
  }
  std::uint64_t pending = 0;
  int filled = 0;
  for (std::size_t i = 0; i < n; ++i) {
    pending |= std::uint64_t{codes[i]} << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8) *out++ = static_cast<std::byte>(pending);
  }
  if (filled > 0) *out = static_cast<std::byte>(pending);
}
/// Reads exactly `packed_bytes(n, bits)`.
[[gnu::always_inline]] inline void read_codes(std::byte const* in, std::size_t n, int bits, std::uint16_t* codes) {
  if (bits == 16) {
    std::memcpy(codes, in, 2 * n);
    return;
  }
  if (bits == 8) {
    for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(in[i]);
    return;
  }
  std::uint32_t const mask = (1u << bits) - 1u;
  std::uint32_t pending = 0;
  int filled = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (; filled < bits; filled += 8) pending |= std::uint32_t{static_cast<std::uint8_t>(*in++)} << filled;
    codes[i] = static_cast<std::uint16_t>(pending & mask);
    pending >>= bits;
    filled -= bits;
  }
}

}  // namespace detail
CCOMP_END
