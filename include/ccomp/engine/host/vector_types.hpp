#pragma once
/// Vectors of 16 to 64 bytes, as g++ and clang have them on every CPU.

#include <ccomp/core/config.hpp>

#include <cstdint>

CCOMP_BEGIN
namespace detail {

using float_x4 [[gnu::vector_size(16)]] = float;
using float_x8 [[gnu::vector_size(32)]] = float;
using float_x16 [[gnu::vector_size(64)]] = float;
using double_x4 [[gnu::vector_size(32)]] = double;
using int_x8 [[gnu::vector_size(32)]] = std::int32_t;
using int_x16 [[gnu::vector_size(64)]] = std::int32_t;
using word_x4 [[gnu::vector_size(32)]] = std::uint64_t;
using word_x8 [[gnu::vector_size(64)]] = std::uint64_t;
using short_x8 [[gnu::vector_size(16)]] = std::int16_t;
using short_x16 [[gnu::vector_size(32)]] = std::int16_t;

}  // namespace detail
CCOMP_END
