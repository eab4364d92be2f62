#pragma once
/// What the kernels of a selection are given: the input, what is known so far, and room for the result.

#include <ccomp/engine/cuda/arrays.cuh>
#include <ccomp/engine/cuda/status.cuh>
#include <ccomp/engine/cuda/vector_source.cuh>

CCOMP_BEGIN
namespace detail {

/// What to select of n values: the `most` largest, or those that reach a bound, `most` of them at most.
struct selection {
  std::uint64_t n = 0, most = 0;
  bool bounded = false;
  float value = 0;     // the bound, or 0, and then
  float relative = 0;  //   this times the root mean square
};

/// What is known about one item's selection so far.
struct selection_state {
  std::uint32_t low;            // the upper bits of the k-th largest key; at last all: larger keys are selected,
  std::uint32_t ties;           //   and the first so many that equal it
  std::uint32_t above, inside;  // values with larger upper bits, values with these
  std::uint32_t pooled;         // the candidates are in the pool
  std::uint32_t pool_used;
  std::uint32_t selected, split, head;  // by rank: the first `head`, and from `split` on, `selected` in all
  std::uint32_t only_bad;               // of more values than fit, those that are not finite are selected
  unsigned long long early;             // of the tile where an overflow begins: counts before that place
  std::uint32_t arrived[5];
};

// A selection in parts; a kernel takes those that it uses.

/// What to select, and from what.
struct selection_input {
  selection what{};
  vector_source source{};
  per_item<selection_state> state{};
};
/// Where a tile's candidates lie in the pool.
struct pool_tile {
  std::uint32_t start, count;
};
/// Candidates of all tiles, tile by tile.
struct candidate_pool {
  std::uint32_t room = 0;
  per_item<pool_tile> tiles{};
  per_item<std::uint32_t> index{};
  per_item<float> value{};
};
/// above | ties << 32, of each tile and of each thread block.
struct selection_counts {
  per_item<unsigned long long> tiles{}, blocks{};
};
struct tile_norm {
  double squares;
  std::uint32_t largest;  // key
};
/// The result: the places, ascending, and the values there.
struct selection_output {
  per_item<std::uint32_t> index{};
  per_item<float> carrier{};
  per_item<std::uint32_t> header{};  // of the payload: how many are selected and how many left out; or null
  device_status* status = nullptr;
};

}  // namespace detail
CCOMP_END
