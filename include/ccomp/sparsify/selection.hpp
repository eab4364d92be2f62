#pragma once
/// What a sparsifier keeps of a tensor, told as numbers that every engine knows. A sparsifier that tells them runs on a
/// GPU too:
///   selection selects(std::size_t n) const { return {.kind = selection_kind::largest, .n = n, .kept = k, .indices = layout}; }

#include <ccomp/index_coding.hpp>

CCOMP_BEGIN

/// largest:      as top_k
/// reaching:     as threshold; its side bytes begin with two u32: how many are kept, how many found no room
/// drawn:        as random_k
/// drawn_blocks: as random_block
enum class selection_kind : std::uint8_t { largest, reaching, drawn, drawn_blocks };

struct selection {
  selection_kind kind = selection_kind::largest;
  std::size_t n = 0, kept = 0;  // reaching: the most that are kept
  index_layout indices{};       // of the side bytes; drawn: none
  float value = 0;              // reaching: the bound, or 0, and then
  float relative = 0;           //   this times the root mean square
  std::size_t blocks = 1;       // drawn_blocks: at most `kept`
  std::uint64_t seed = 0;       // drawn
  bool unbiased = false;        // drawn: decoding scales

  /// The side bytes ahead of the indices.
  [[nodiscard]] constexpr std::size_t header_bytes() const {
    return kind == selection_kind::reaching && n > 0 ? 2 * sizeof(std::uint32_t) : 0;
  }
  [[nodiscard]] constexpr std::size_t side_bytes() const { return header_bytes() + indices.bytes(); }
};

CCOMP_END
