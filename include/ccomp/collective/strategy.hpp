#pragma once
/// How ranks combine. Strategies are types: a wrong pair of compressor and strategy does not compile.

#include <ccomp/config.hpp>
#include <cstddef>
#include <string_view>

CCOMP_BEGIN

/// Linear: in_flight; multi-round: its own rounds; else whichever of gather and two_shot sends fewer bytes.
struct automatic {
  static constexpr std::string_view name = "automatic";
};
/// Every rank sends its payload to every other; all decode and add. One rounding. (W - 1) payloads sent a rank.
struct gather {
  static constexpr std::string_view name = "gather";
};
/// Rank r owns chunk r: it receives that chunk of all ranks, adds, encodes the sum, and sends it to all. Two roundings.
/// 2 (W - 1) / W payloads sent per rank; of a sparsifier (W - 1) / W, and a chunk's sum with all that W ranks kept.
struct two_shot {
  static constexpr std::string_view name = "two_shot";
  /// Sparsifiers: the owner selects again, so that its sum is as small as one payload. For very many ranks: most of what
  /// they sent is dropped, and without error feedback it is lost.
  bool reselect = false;
};
/// The communicator's own sum over carriers; linear compressors only.
struct in_flight {
  static constexpr std::string_view name = "in_flight";
};

/// What a collective did.
struct collective_report {
  std::string_view strategy;
  std::size_t bytes_sent = 0;       // by this rank, to other ranks
  std::size_t payload_bytes = 0;    // of this rank's own encoding
  std::size_t workspace_bytes = 0;  // held by the workspace afterwards
  std::size_t overflowed = 0;  // values that reached a threshold and found no room in this rank's payloads, counted
                               // on the host; for a cuda_exec `workspace::check()` returns them
  bool feedback = false;       // error feedback took part: this rank's residual was added and has taken up the rest
};

CCOMP_END
