#pragma once
/// Which lanes of a warp wait for each other, and in what operation. Part of the simulator's machine.

#include "device_thread.hpp"

namespace cuda_sim {
namespace {

/// Lanes that wait in one operation, with one mask.
struct warp_meeting {
  warp_op op;
  unsigned mask, arrived;
  where at;

  [[nodiscard]] bool is(warp_op o, unsigned m, where const& a) const {
    return op == o && mask == m && same_place(at, a);
  }
};

class warp_meetings {
 public:
  /// A new block, with so many lanes in this warp.
  void begin(unsigned lanes) {
    present_ = lanes >= warp_size ? ~0u : (1u << lanes) - 1;
    ended_ = 0;
    open_ = 0;
  }
  void end(unsigned lane) { ended_ |= 1u << lane; }
  /// Of the mask, the lanes that the block does not have, and those that have ended.
  [[nodiscard]] unsigned absent(unsigned mask) const { return mask & ~present_; }
  [[nodiscard]] unsigned ended(unsigned mask) const { return mask & ended_; }

  /// The meeting that a lane comes to: lanes of its mask wait there, and wait for this lane. Null if it is the first one;
  /// one that is not `is(op, mask, at)` if there is any.
  [[nodiscard]] warp_meeting* find(unsigned lane, warp_op op, unsigned mask, where const& at) {
    warp_meeting* found = nullptr;
    for (unsigned i = 0; i < open_; ++i) {
      warp_meeting& m = meetings_[i];
      if ((m.mask >> lane & 1u) == 0 || (m.arrived & mask) == 0) continue;
      found = &m;
      if (!m.is(op, mask, at)) break;
    }
    return found;
  }
  /// The lane arrives at a meeting that `find` returned; true if it is the last one, and the meeting is over.
  bool join(warp_meeting* known, unsigned lane, warp_op op, unsigned mask, where const& at) {
    if (!known) {
      known = &meetings_[open_++];
      *known = {op, mask, 0, at};
    }
    known->arrived |= 1u << lane;
    if (known->arrived != mask) return false;
    *known = meetings_[--open_];
    return true;
  }

 private:
  unsigned present_ = 0, ended_ = 0, open_ = 0;
  warp_meeting meetings_[warp_size];
};

}  // namespace
}  // namespace cuda_sim
