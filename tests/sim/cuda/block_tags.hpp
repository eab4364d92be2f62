#pragma once
/// What TSan orders a block's threads by: one address for each barrier. Part of the simulator's machine.

#include "cuda_sim.hpp"

namespace cuda_sim {
namespace {

constexpr unsigned max_threads = 1024;

/// What TSan sees a __syncwarp by: per mask two tags in turn, so that a lane which is ahead, already at the next
/// __syncwarp with its later writes, does not pass them to a lane that has just left this one.
struct warp_tags {
  static constexpr unsigned kept = 8;
  struct tag {
    unsigned mask;
    unsigned arrived;
    char turns[2];
  };
  tag tags[kept];
  unsigned used;

  void* arrive(unsigned mask) {
    unsigned i = 0;
    while (i < used && tags[i].mask != mask) ++i;
    if (i == used) {
      if (used == kept) return &tags[0].turns[0];  // orders too much: misses races, invents none
      tags[used++] = {mask, 0, {}};
    }
    auto const size = static_cast<unsigned>(__builtin_popcount(mask));
    return &tags[i].turns[tags[i].arrived++ / size % 2];
  }
};

/// New memory for every block, or TSan would take one block's barriers for order between blocks.
struct block_tags {
  char barriers[2] = {};
  warp_tags warps[max_threads / warp_size] = {};
};

}  // namespace
}  // namespace cuda_sim
