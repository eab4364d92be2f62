#pragma once

#include "link.hpp"

#include <limits>

namespace compare {

// What one allreduce costs a rank.
struct cost {
  double codec_seconds = 0;  // the rank's own work, alone on its machine
  double wire_bytes = 0;

  double seconds(link_speed const& link) const { return codec_seconds + link.seconds(wire_bytes); }
};

inline constexpr double always = std::numeric_limits<double>::infinity();

// The link speed in bits per second below which `candidate` is the faster one: 0 means never, `always` at any speed. A
// candidate with the smaller codec time but more bytes would win above a speed; that is reported as never.
inline double break_even(cost const& candidate, cost const& dense) {
  auto const saved_bits = (dense.wire_bytes - candidate.wire_bytes) * 8;
  auto const added_seconds = candidate.codec_seconds - dense.codec_seconds;
  if (saved_bits <= 0) return 0;
  return added_seconds <= 0 ? always : saved_bits / added_seconds;
}

// An allreduce of n values of b bytes without a codec: 2 (W-1)/W n b bytes per rank.
inline double dense_wire_bytes(int ranks, double bytes) { return 2 * (ranks - 1.0) / ranks * bytes; }

}
