#pragma once

#include <ccomp/collective/slices.hpp>

#include <algorithm>

CCOMP_BEGIN

/// Rank r sends to rank r + 1 only. The sum of a chunk goes around and ends at its owner; every rank on its way decodes it,
/// adds its own values and encodes it again. Then the sums go around, as they are.
///
/// Bytes:    2 (W - 1) / W payloads sent per rank, all to one other rank
/// Rounding: once per hop; with error feedback every rank keeps what its own hops left out
/// Throws:   invalid_argument if a stage codes the tensor as a whole (svd, tucker)
/// Needs:    exchange
struct ring {
  static constexpr std::string_view name = "ring";

  template <class Exec, class Comm, class C> static consteval bool fits() {
    static_assert(can_exchange<Comm, Exec>,
                  "ccomp: ring needs a communicator with exchange(exec, send, to, receive, from)");
    return can_exchange<Comm, Exec>;
  }

  template <class Engine> collective_report run(Engine& e) const;
};

template <class Engine> collective_report ring::run(Engine& e) const {
  detail::expects(!detail::stays_whole(e.chain()), [&] {
    return detail::sentence("allreduce: ring cuts the tensor into chunks, and ", detail::text(e.chain()),
                            " codes it as a whole; use gather or automatic");
  });
  std::size_t const ranks = e.ranks(), me = e.rank();
  int const next = static_cast<int>((me + 1) % ranks), before = static_cast<int>((me + ranks - 1) % ranks);
  auto const slices = slices_of(e, e.slice_bytes(), [&](auto const& j) { return e.chunks(j, ranks); });
  auto const payload = [&](slice_part const& p) { return e.payload_bytes(*p.job, p.cut.most()); };
  std::size_t const most = detail::most_of(slices, [&](slice_part const& p) {
    std::size_t reduce = e.reduce_scratch(*p.job, e.chain(), p.cut.most(), 2);
    for (std::size_t i = 0; i < ranks; ++i)
      reduce = std::max(reduce, e.reduce_scratch(*p.job, e.chain(), p.cut.length(i), 2));
    return std::max({e.encode_scratch(*p.job, p.cut), reduce, e.decode_scratch(*p.job, e.chain(), p.cut)});
  });
  // Of a lane, for each chunk: what comes in, and beside it this rank's own. Then a sum on its way, and all sums.
  std::size_t const lane = detail::longest_slot(e, slices, payload) * (3 * ranks + 1),
                    lanes = detail::lanes_for(slices.size());
  auto const memory = e.reserve(lanes * lane + most);
  auto const spare = memory.subspan(lanes * lane);
  e.begin(name);

  std::size_t used = 0, sent_bytes = 0;
  in_lanes(e, slices.size(), lanes,
           [&](std::size_t number, std::size_t mine, int step) -> std::optional<exchange_handle> {
             auto const& slice = slices[number];
             std::size_t const slot = detail::slot_of(e, slice, payload);
             std::byte* const pairs = memory.data() + mine * lane;
             auto const pair = [&](std::size_t chunk) { return slot_row{pairs + 2 * chunk * slot, slot, 2}; };
             slot_row const own{pairs + slot, 2 * slot, ranks, slot}, sum{pairs + 2 * ranks * slot, slot, 1},
                 all{sum.data + slot, slot, ranks};
             auto const each_part = [&](auto const& f) {
               std::size_t at = Engine::header_bytes;
               for (auto const& p : slice) {
                 f(p, at, payload(p));
                 at += payload(p);
               }
             };
             auto const start = [&](std::byte* send, std::byte* receive) {
               sent_bytes += slot;
               return e.start_exchange({send, slot}, next, {receive, slot}, before, static_cast<int>(number));
             };
             auto const reduce = [&](slot_row const& from, std::size_t chunk, std::byte* to) {
               each_part([&](slice_part const& p, std::size_t at, std::size_t room) {
                 e.reduce(*p.job, e.chain(), p.cut, chunk, from.part(at), room, {to + at, slot, 1}, spare);
               });
               e.seal({to, slot, 1});
             };
             // Hops 1 to ranks - 1 bring sums on their way: that of chunk c ends at rank c. The next ranks - 1 bring all sums.
             auto const hop = static_cast<std::size_t>(step);
             if (hop == 0) {
               e.write_headers(own);
               e.write_headers({sum.data, slot, ranks + 1});
               each_part([&](slice_part const& p, std::size_t at, std::size_t) {
                 used += e.encode(*p.job, p.cut, own.part(at), spare);
               });
               e.seal({own.of((me + ranks - 1) % ranks), slot, 1});
               if (ranks > 1) return start(own.of((me + ranks - 1) % ranks), pair((me + 2 * ranks - 2) % ranks).of(0));
               reduce(own, 0, all.of(0));
             } else if (hop < ranks) {
               std::size_t const chunk = (me + 2 * ranks - hop - 1) % ranks;
               e.check_headers({pair(chunk).of(0), slot, 1}, static_cast<std::size_t>(before));
               if (hop + 1 < ranks) {
                 reduce(pair(chunk), chunk, sum.data);
                 return start(sum.data, pair((me + 2 * ranks - hop - 2) % ranks).of(0));
               }
               reduce(pair(chunk), chunk, all.of(me));
               return start(all.of(me), all.of(static_cast<std::size_t>(before)));
             } else {
               std::size_t const came = (me + 2 * ranks - (hop - ranks) - 1) % ranks;  // the sum of this chunk
               e.check_headers({all.of(came), slot, 1}, static_cast<std::size_t>(before));
               if (hop + 2 < 2 * ranks) return start(all.of(came), all.of((came + ranks - 1) % ranks));
             }
             each_part([&](slice_part const& p, std::size_t at, std::size_t room) {
               e.decode(*p.job, e.chain(), p.job->data, p.cut, all.part(at), room, spare);
             });
             return std::nullopt;
           });
  return e.report(name, sent_bytes, used);
}

CCOMP_END
