#pragma once

#include <ccomp/collective/slices.hpp>

#include <algorithm>
#include <bit>

CCOMP_BEGIN
namespace detail {

/// The exponent of the smallest power of two that is not below x.
inline int log2_ceil(std::size_t x) { return static_cast<int>(std::bit_width(x - 1)); }

}  // namespace detail

/// Rank r owns chunk r. It receives this chunk from all ranks, adds, encodes the sum, and sends it to all ranks.
///
/// Bytes:    2 (W - 1) / W payloads sent per rank. With a sparsifier: (W - 1) / W payloads, and the sum of a chunk with
///           everything that W ranks kept
/// Rounding: the compressor rounds twice; with error feedback, the second error is added to the residual of the chunk's
///           owner
/// Throws:   invalid_argument if a stage codes the tensor as a whole (svd, tucker)
/// Needs:    all_to_all, all_gather
struct two_shot {
  static constexpr std::string_view name = "two_shot";
  /// With a sparsifier, the owner selects again, so that its sum is as small as one payload. Meant for very many ranks:
  /// most of what they sent is dropped, and without error feedback it is lost.
  bool reselect = false;

  template <class Exec, class Comm, class C> static consteval bool fits() {
    static_assert(can_all_to_all<Comm, Exec>,
                  "ccomp: two_shot needs a communicator with all_to_all(exec, span<byte const>, span<byte>)");
    static_assert(can_all_gather<Comm, Exec>,
                  "ccomp: two_shot needs a communicator with all_gather(exec, span<byte const>, span<byte>)");
    return can_all_to_all<Comm, Exec> && can_all_gather<Comm, Exec>;
  }

  /// The bytes that a rank receives from each other rank, in both halves.
  template <class Engine> [[nodiscard]] std::size_t slot_bytes(Engine const& e) const {
    return slot_of(e, e.chain()) + slot_of(e, e.sum_chain(payloads_of_sums(e)));
  }

  template <class Engine> collective_report run(Engine& e) const;

 private:
  template <class Engine> static std::size_t slot_of(Engine const& e, detail::program coded) {
    std::size_t bytes = Engine::header_bytes;
    for (auto const& j : e.jobs()) bytes += e.payload_bytes(j, e.chunks(j, e.ranks()).most(), coded);
    return bytes;
  }
  /// The chain that encodes sums has room for the values of so many payloads.
  template <class Engine> [[nodiscard]] std::size_t payloads_of_sums(Engine const& e) const {
    return reselect ? 1 : e.ranks();
  }
};

template <class Engine> collective_report two_shot::run(Engine& e) const {
  detail::expects(!detail::stays_whole(e.chain()), [&] {
    return detail::sentence("allreduce: two_shot cuts the tensor into chunks, and ", detail::text(e.chain()),
                            " codes it as a whole; use gather or automatic");
  });
  std::size_t const ranks = e.ranks(), me = e.rank();
  auto const sums = e.sum_chain(payloads_of_sums(e));
  auto const slices = slices_of(e, e.slice_bytes(), [&](auto const& j) { return e.chunks(j, ranks); });
  auto const payload = [&](slice_part const& p) { return e.payload_bytes(*p.job, p.cut.most()); };
  auto const sum_payload = [&](slice_part const& p) { return e.payload_bytes(*p.job, p.cut.most(), sums); };
  std::size_t const most = detail::most_of(slices, [&](slice_part const& p) {
    // A short last chunk may take more than a whole one: its indices may be coded another way.
    return std::max({e.encode_scratch(*p.job, p.cut), e.reduce_scratch(*p.job, sums, p.cut.most(), ranks),
                     e.reduce_scratch(*p.job, sums, p.cut.length(me), ranks), e.decode_scratch(*p.job, sums, p.cut)});
  });
  // Of a lane: what is sent, the owner's sum, and what is received: first the chunks, then the sums.
  std::size_t const slot = detail::longest_slot(e, slices, payload),
                    sum_slot = detail::longest_slot(e, slices, sum_payload),
                    lane = ranks * slot + sum_slot + ranks * std::max(slot, sum_slot),
                    lanes = detail::lanes_for(slices.size());
  auto const memory = e.reserve(lanes * lane + most);
  auto const spare = memory.subspan(lanes * lane);
  e.begin(name, -1, reselect ? "with reselection" : "");

  std::size_t used = 0, sent_bytes = 0;
  in_lanes(e, slices.size(), lanes,
           [&](std::size_t number, std::size_t mine, int step) -> std::optional<exchange_handle> {
             auto const& slice = slices[number];
             std::size_t const bytes = detail::slot_of(e, slice, payload),
                               sum_bytes = detail::slot_of(e, slice, sum_payload);
             auto const here = memory.subspan(mine * lane, lane), send = here.first(ranks * bytes),
                        result = here.subspan(send.size(), sum_bytes), receive = here.subspan(send.size() + sum_bytes);
             slot_row const sent{send.data(), bytes, ranks}, received{receive.data(), bytes, ranks},
                 owned{result.data(), sum_bytes, 1}, all{receive.data(), sum_bytes, ranks};
             int const channel = static_cast<int>(number);
             std::size_t at = Engine::header_bytes, sum_at = at;
             if (step == 0) {
               e.prescale(0);
               e.write_headers(
                   {send.data(), bytes, ranks + 1});  // the result's, too: on a GPU every kernel more costs latency
               for (auto const& p : slice) {
                 used += e.encode(*p.job, p.cut, sent.part(at), spare);
                 at += payload(p);
               }
               e.seal(sent);
               sent_bytes += (ranks - 1) * (bytes + sum_bytes);
               return e.start_all_to_all(send, receive.first(ranks * bytes), channel);
             }
             // Of the sums: numbers of a float16 carrier may add up to more than it holds.
             e.prescale(-detail::log2_ceil(ranks));
             if (step == 1) {
               e.check_headers(received);
               for (auto const& p : slice) {
                 e.reduce(*p.job, sums, p.cut, me, received.part(at), payload(p), owned.part(sum_at), spare);
                 at += payload(p);
                 sum_at += sum_payload(p);
               }
               e.seal(owned);
               return e.start_all_gather(result, receive.first(ranks * sum_bytes), channel);
             }
             e.check_headers(all);
             for (auto const& p : slice) {
               e.decode(*p.job, sums, p.job->data, p.cut, all.part(sum_at), sum_payload(p), spare);
               sum_at += sum_payload(p);
             }
             return std::nullopt;
           });
  return e.report(name, sent_bytes, used);
}

CCOMP_END
