#pragma once
/// Floats as their bits.

#include <bit>
#include <cstdint>
#include <limits>

namespace support {

inline std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_from(std::uint32_t u) { return std::bit_cast<float>(u); }

inline constexpr float inf = std::numeric_limits<float>::infinity();
inline constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();

}  // namespace support
