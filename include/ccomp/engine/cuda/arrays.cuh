#pragma once
/// Arrays of several equal items: chunks of a tensor that go through every kernel together, and the payloads of each.

#include <ccomp/core/config.hpp>
#include <ccomp/engine/cuda/launch.cuh>

#include <cstdint>

CCOMP_BEGIN

/// An array of each item: the grid's y tells which, `bytes` is the way from one item's to the next.
template <class T> struct per_item {
  T* data = nullptr;
  std::uint64_t bytes = 0;

  CCOMP_HD T* of(std::uint64_t item) const {
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(data) + item * bytes);
  }
  __device__ T* mine() const { return of(blockIdx.y); }
};

namespace detail {

/// An array of each source of each item.
template <class T> struct per_list {
  T* data = nullptr;
  std::uint64_t source_bytes = 0, item_bytes = 0;

  CCOMP_HD T* of(std::uint64_t item, std::uint64_t source) const {
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(data) + item * item_bytes + source * source_bytes);
  }
  /// The grid's y counts the sources of all items.
  __device__ T* mine(unsigned sources) const { return of(blockIdx.y / sources, blockIdx.y % sources); }
};

/// How many entries an item has: `most`, or fewer, as the device has counted.
struct entry_count {
  std::uint64_t most = 0;
  per_item<std::uint32_t const> counted{};

  __device__ std::uint64_t of(std::uint64_t item) const {
    if (!counted.data) return most;
    std::uint64_t const count = *counted.of(item);
    return count < most ? count : most;
  }
  __device__ std::uint64_t mine() const { return of(blockIdx.y); }
};
/// Where a payload holds the carrier: behind the side bytes, which are padded up to `begin`.
struct carrier_place {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // what nobody writes below it is zero; 0: whatever codes the carrier sees to it
  bool raw = false;       // the carrier stands there as floats; else it is coded later
};

/// Null stays null: sizes are asked for before there are pointers.
template <class T> T* past(T* p, std::uint64_t bytes) {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(p) + (p ? bytes : 0));
}

}  // namespace detail
CCOMP_END
