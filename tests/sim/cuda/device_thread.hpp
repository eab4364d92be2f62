#pragma once
/// One CUDA thread of the simulator's machine: its fiber, and what it waits for.

#include "cuda_sim.hpp"
#include "fiber.hpp"

#include <cstdint>

namespace cuda_sim {
namespace {

enum class state : std::uint8_t { ready, at_barrier, in_warp, done };

struct device_thread : fiber {
  using fiber::fiber;
  state now = state::done;
  uint3 index{};
  unsigned rank = 0;  // in the block
  where at{};         // where it waits
  warp_op op = warp_op::none;
  unsigned mask = 0;
  unsigned source = 0;
  std::uint64_t value = 0;
  std::uint64_t result = 0;
};

// Nearly always the names are one string; strcmp would be slow, and TSan watches it.
bool same_place(where const& a, where const& b) {
  if (a.line() != b.line() || a.column() != b.column()) return false;
  char const *x = a.file_name(), *y = b.file_name();
  if (x == y) return true;
  while (*x != 0 && *x == *y) ++x, ++y;
  return *x == *y;
}

char const* name_of(warp_op op) {
  constexpr char const* names[] = {"none",
                                   "__syncwarp",
                                   "a shuffle",
                                   "a vote",
                                   "__match_any_sync",
                                   "__reduce_add_sync",
                                   "__reduce_min_sync",
                                   "__reduce_max_sync",
                                   "__reduce_min_sync",
                                   "__reduce_max_sync",
                                   "__reduce_and_sync",
                                   "__reduce_or_sync",
                                   "__reduce_xor_sync"};
  return names[static_cast<unsigned>(op)];
}

}  // namespace
}  // namespace cuda_sim
