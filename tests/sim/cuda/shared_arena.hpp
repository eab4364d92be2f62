#pragma once
/// Where the simulator's machine keeps shared memory. Objects have their exact size, with poisoned gaps between them,
/// and start as 0xff: a NaN, or an index far outside.

#include "cuda_sim.hpp"
#include "fiber.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace cuda_sim {
namespace {

class shared_arena {
 public:
  /// On the host's stack, before a block runs. Blocks share memory, except under TSan: they run in no order.
  void next_block() {
    used_ = count_ = 0;
    if (!under_tsan && !chunks_.empty()) {
      next_ = begin();
      poison(next_, capacity);
    } else if (next_ == nullptr || static_cast<std::size_t>(end_ - next_) < per_block) {
      if (chunk_ == chunks_.size()) chunks_.push_back(std::make_unique<chunk>());
      next_ = begin();
      end_ = next_ + capacity;
      poison(next_, capacity);
      ++chunk_;
    }
  }
  /// After the last block.
  void end() {
    if (under_tsan) {
      chunk_ = 0;
      next_ = nullptr;
    }
  }

  /// The object of this declaration in this block; null when there is no room.
  void* object(void const* declaration, std::size_t size, std::size_t alignment) {
    for (unsigned i = 0; i < count_; ++i)
      if (objects_[i].declaration == declaration) return objects_[i].at;
    used_ += size;
    if (used_ > shared_memory_limit || count_ == most_objects) return nullptr;
    // Aligned as its type asks and no better than 8 beyond that: the device promises no more.
    std::size_t const step = alignment < 16 ? 16 : alignment;
    auto const address = (reinterpret_cast<std::uintptr_t>(next_) + gap + step - 1) / step * step;
    char* const at = next_ + (address - reinterpret_cast<std::uintptr_t>(next_)) + (alignment < 16 ? 8 : 0);
    auto* const words = reinterpret_cast<std::uint64_t volatile*>(at);  // volatile: no memset, TSan watches that
    for (std::size_t i = 0; i < (size + 7) / 8; ++i) words[i] = ~std::uint64_t{0};
    unpoison(at, size);
    next_ = at + (size + 7) / 8 * 8;
    objects_[count_++] = {declaration, at};
    return at;
  }

 private:
  static constexpr unsigned most_objects = 64;
  static constexpr std::size_t gap = 64;
  static constexpr std::size_t per_block = shared_memory_limit + most_objects * 4 * gap;
  static constexpr std::size_t capacity = under_tsan ? 16 * per_block : per_block;
  struct chunk {
    alignas(128) char bytes[capacity];
    ~chunk() { unpoison(bytes, capacity); }
  };
  struct entry {
    void const* declaration;
    char* at;
  };

  [[nodiscard]] char* begin() const { return chunks_[under_tsan ? chunk_ : 0]->bytes; }

  std::vector<std::unique_ptr<chunk>> chunks_;
  std::size_t chunk_ = 0;
  char* next_ = nullptr;
  char* end_ = nullptr;
  entry objects_[most_objects] = {};
  unsigned count_ = 0;
  std::size_t used_ = 0;
};

}  // namespace
}  // namespace cuda_sim
