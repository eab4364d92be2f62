#pragma once

#include <ccomp/collective/engine.hpp>

#include <algorithm>

CCOMP_BEGIN

/// Every rank sends its payload to every other rank. Every rank decodes all payloads and adds them.
///
/// Bytes:    (W - 1) payloads sent per rank
/// Rounding: the compressor rounds once, and the sum (float32, in rank order) once
/// Needs:    all_gather
struct gather {
  static constexpr std::string_view name = "gather";

  template <class Exec, class Comm, class C> static consteval bool fits() {
    static_assert(can_all_gather<Comm, Exec>,
                  "ccomp: gather needs a communicator with all_gather(exec, span<byte const>, span<byte>)");
    return can_all_gather<Comm, Exec>;
  }

  /// The bytes that a rank receives from each other rank.
  template <class Engine> static std::size_t slot_bytes(Engine const& e) {
    std::size_t bytes = Engine::header_bytes;
    for (auto const& j : e.jobs()) bytes += e.payload_bytes(j, j.data.n);
    return bytes;
  }

  template <class Engine> collective_report run(Engine& e) const;
};

template <class Engine> collective_report gather::run(Engine& e) const {
  std::size_t const ranks = e.ranks(), slot = slot_bytes(e);
  std::size_t most = 0;
  for (auto const& j : e.jobs())
    most = std::max({most, e.encode_scratch(j, e.whole(j)), e.sum_scratch(j, j.data.n, ranks)});
  auto const memory = e.reserve(slot * (ranks + 1) + most);
  e.begin(name);
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks),
             spare = memory.subspan(slot * (ranks + 1));
  slot_row const sent{mine.data(), slot, 1}, received{all.data(), slot, ranks};

  e.write_headers(sent);
  std::size_t at = Engine::header_bytes, used = 0;
  for (auto const& j : e.jobs()) {
    used += e.encode(j, e.whole(j), sent.part(at), spare);
    at += e.payload_bytes(j, j.data.n);
  }
  e.all_gather(mine, all);
  e.check_headers(received);
  at = Engine::header_bytes;
  for (auto const& j : e.jobs()) {
    std::size_t const room = e.payload_bytes(j, j.data.n);
    e.sum(j, j.data, 0, received.part(at), room, spare);
    at += room;
  }
  return e.report(name, (ranks - 1) * slot, used);
}

CCOMP_END
