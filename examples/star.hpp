#pragma once
// Your own strategy: a star. All ranks send to rank 0, which adds and sends the sum to all.

#include <ccomp/ccomp.hpp>

#include <algorithm>

// [strategy]
namespace mylab {

/// Rounds twice; with error feedback rank 0 keeps what the sum left out.
struct star {
  static constexpr std::string_view name = "star";

  template <class Exec, class Comm, class C> static consteval bool fits() {
    constexpr bool ok = ccomp::can_exchange<Comm, Exec> && ccomp::can_broadcast<Comm, Exec>;
    static_assert(ok, "star: the communicator has no exchange(exec, send, to, receive, from), or no broadcast");
    return ok;
  }

  template <class Engine> ccomp::collective_report run(Engine& e) const {
    std::size_t const ranks = e.ranks(), me = e.rank();
    std::size_t slot = Engine::header_bytes, most = 0;
    for (auto const& j : e.jobs()) {
      slot += e.payload_bytes(j, j.data.n);
      most = std::max({most, e.encode_scratch(j, e.whole(j)), e.reduce_scratch(j, e.chain(), j.data.n, ranks),
                       e.decode_scratch(j, e.chain(), e.whole(j))});
    }
    // One slot per rank, of which the others than rank 0 fill only their own, and the sum.
    auto const memory = e.reserve(slot * (ranks + 1) + most);
    e.begin(name);
    ccomp::slot_row const all{memory.data(), slot, ranks}, sum{memory.data() + ranks * slot, slot, 1};
    auto const spare = memory.subspan(slot * (ranks + 1));
    e.write_headers({memory.data(), slot, ranks + 1});

    auto const each_job = [&](auto const& f) {
      std::size_t at = Engine::header_bytes;
      for (auto const& j : e.jobs()) {
        f(j, at, e.payload_bytes(j, j.data.n));
        at += e.payload_bytes(j, j.data.n);
      }
    };
    std::size_t used = 0;
    each_job([&](auto const& j, std::size_t at, std::size_t) {
      used += e.encode(j, e.whole(j), {all.of(me) + at, slot, 1}, spare);
    });
    e.seal({all.of(me), slot, 1});
    // All ranks make the same calls: rank r and rank 0 exchange in turn r, while the others send to themselves.
    for (std::size_t r = 1; r < ranks; ++r) {
      auto const with = static_cast<int>(me == 0 ? r : me == r ? 0 : me);
      e.exchange({all.of(me), slot}, with, {me == 0 ? all.of(r) : sum.data, slot}, with);
    }
    if (me == 0) {
      e.check_headers(all);
      e.write_headers(sum);
      each_job([&](auto const& j, std::size_t at, std::size_t room) {
        e.reduce(j, e.chain(), e.whole(j), 0, all.part(at), room, sum.part(at), spare);
      });
      e.seal(sum);
    }
    e.broadcast({sum.data, slot}, 0);
    e.check_headers(sum);
    each_job([&](auto const& j, std::size_t at, std::size_t room) {
      e.decode(j, e.chain(), j.data, e.whole(j), sum.part(at), room, spare);
    });
    return e.report(name, me == 0 ? 2 * (ranks - 1) * slot : slot, used);
  }
};

}
// [/strategy]
