#pragma once
// Your own strategy: a ring, in which every hop decodes, adds and encodes again. Rank r sends to r + 1 only.

#include <ccomp/ccomp.hpp>

#include <algorithm>

// [strategy]
namespace mylab {

/// Rounds once per hop; with error feedback each rank keeps what its own hops left out.
struct ring {
  static constexpr std::string_view name = "ring";

  template <class Exec, class Comm, class C> static consteval bool fits() {
    static_assert(ccomp::can_exchange<Comm, Exec>,
                  "ring: the communicator has no exchange(exec, send, to, receive, from)");
    return ccomp::can_exchange<Comm, Exec>;
  }

  template <class Engine> ccomp::collective_report run(Engine& e) const {
    std::size_t const ranks = e.ranks(), me = e.rank();
    int const next = static_cast<int>((me + 1) % ranks), before = static_cast<int>((me + ranks - 1) % ranks);
    std::size_t slot = Engine::header_bytes, most = 0;
    for (auto const& j : e.jobs()) {
      auto const cut = e.chunks(j, ranks);
      slot += e.payload_bytes(j, cut.size);
      most = std::max({most, e.encode_scratch(j, cut), e.reduce_scratch(j, e.chain(), cut.size, 2),
                       e.decode_scratch(j, e.chain(), cut)});
      for (std::size_t i = 0; i < ranks; ++i) most = std::max(most, e.reduce_scratch(j, e.chain(), cut.length(i), 2));
    }
    // Of each chunk: what comes in, and beside it this rank's own. Then a sum on its way, and all sums.
    auto const memory = e.reserve(slot * (3 * ranks + 1) + most);
    e.begin(name);
    std::byte* const pairs = memory.data();
    auto const pair = [&](std::size_t chunk) { return ccomp::slot_row{pairs + 2 * chunk * slot, slot, 2}; };
    ccomp::slot_row const own{pairs + slot, 2 * slot, ranks}, sum{pairs + 2 * ranks * slot, slot, 1},
        all{sum.data + slot, slot, ranks};
    auto const spare = memory.subspan(slot * (3 * ranks + 1));
    e.write_headers(own);
    e.write_headers({sum.data, slot, ranks + 1});

    auto const each_job = [&](auto const& f) {
      std::size_t at = Engine::header_bytes;
      for (auto const& j : e.jobs()) {
        auto const cut = e.chunks(j, ranks);
        f(j, cut, at, e.payload_bytes(j, cut.size));
        at += e.payload_bytes(j, cut.size);
      }
    };
    auto const exchange = [&](std::byte* send, std::byte* receive) {
      e.exchange({send, slot}, next, {receive, slot}, before);
      e.check_headers({receive, slot, 1}, static_cast<std::size_t>(before));
    };
    std::size_t used = 0;
    each_job([&](auto const& j, auto const& cut, std::size_t at, std::size_t) {
      used += e.encode(j, cut, own.part(at), spare);
    });
    for (std::size_t hop = 1; hop < ranks; ++hop) {  // the sum of chunk c ends at rank c
      std::size_t const chunk = (me + 2 * ranks - hop - 1) % ranks;
      exchange(hop == 1 ? own.of((me + ranks - 1) % ranks) : sum.data, pair(chunk).of(0));
      std::byte* const to = hop + 1 == ranks ? all.of(me) : sum.data;
      each_job([&](auto const& j, auto const& cut, std::size_t at, std::size_t room) {
        e.reduce(j, e.chain(), cut, chunk, pair(chunk).part(at), room, {to + at, slot, 1}, spare);
      });
    }
    if (ranks == 1)
      each_job([&](auto const& j, auto const& cut, std::size_t at, std::size_t room) {
        e.reduce(j, e.chain(), cut, 0, {own.of(0) + at, slot, 1}, room, all.part(at), spare);
      });
    for (std::size_t hop = 0; hop + 1 < ranks; ++hop)
      exchange(all.of((me + ranks - hop) % ranks), all.of((me + 2 * ranks - hop - 1) % ranks));
    each_job([&](auto const& j, auto const& cut, std::size_t at, std::size_t room) {
      e.decode(j, e.chain(), j.data, cut, all.part(at), room, spare);
    });
    return e.report(name, 2 * (ranks - 1) * slot, used);
  }
};

}
// [/strategy]
