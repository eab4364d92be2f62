#pragma once
/// What a transform does, told as steps that every engine knows. A transform that lists its steps runs on a GPU too:
///   std::array<transform_primitive, 2> primitives() const { return {{transform_primitive::flip(seed), transform_primitive::hadamard(block)}}; }

#include <ccomp/core/config.hpp>

#include <cstdint>

CCOMP_BEGIN

/// flip_signs: random ones. rotate: the orthonormal Walsh-Hadamard transform of blocks, as hadamard_rotate without
/// its signs. multiply: by a factor, and by its inverse on the way back. Each is undone by its like, in reverse order.
enum class transform_kind : std::uint8_t { flip_signs, rotate, multiply };

struct transform_primitive {
  transform_kind kind = transform_kind::flip_signs;
  std::uint32_t block = 1;
  float factor = 1;
  std::uint64_t seed = 0;

  static constexpr transform_primitive flip(std::uint64_t seed) {
    return {.kind = transform_kind::flip_signs, .seed = seed};
  }
  static constexpr transform_primitive hadamard(std::uint32_t block) {
    return {.kind = transform_kind::rotate, .block = block};
  }
  static constexpr transform_primitive times(float factor) {
    return {.kind = transform_kind::multiply, .factor = factor};
  }
};

CCOMP_END
