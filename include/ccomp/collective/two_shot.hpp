#pragma once

#include <ccomp/collective/engine.hpp>

#include <algorithm>
#include <bit>

CCOMP_BEGIN
namespace detail {

/// The exponent of the smallest power of two that is not below x.
inline int log2_ceil(std::size_t x) { return static_cast<int>(std::bit_width(x - 1)); }

/// Whether a stage codes the tensor as a whole, as one matrix, say: chunks of it would be other matrices.
inline bool stays_whole(program p) {
  return std::ranges::any_of(p, [](stage_ref const& s) { return s.facts->whole; });
}

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
    for (auto const& j : e.jobs()) bytes += e.payload_bytes(j, e.chunks(j, e.ranks()).size, coded);
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
  std::size_t const slot = slot_of(e, e.chain()), sum_slot = slot_of(e, sums);
  std::size_t most = 0;
  for (auto const& j : e.jobs()) {
    tensor_cut const cut = e.chunks(j, ranks);
    // A short last chunk may take more than a whole one: its indices may be coded another way.
    most = std::max({most, e.encode_scratch(j, cut), e.reduce_scratch(j, sums, cut.size, ranks),
                     e.reduce_scratch(j, sums, cut.length(me), ranks), e.decode_scratch(j, sums, cut)});
  }
  // What is sent, the owner's sum, and what is received: first the chunks, then the sums.
  std::size_t const chunks = slot * ranks, all_sums = sum_slot * ranks;
  auto const memory = e.reserve(chunks + sum_slot + std::max(chunks, all_sums) + most);
  e.begin(name, -1, reselect ? "with reselection" : "");
  auto const send = memory.first(chunks), result = memory.subspan(chunks, sum_slot),
             receive = memory.subspan(chunks + sum_slot, std::max(chunks, all_sums)),
             spare = memory.subspan(chunks + sum_slot + receive.size());
  slot_row const sent{send.data(), slot, ranks}, received{receive.data(), slot, ranks},
      owned{result.data(), sum_slot, 1}, all{receive.data(), sum_slot, ranks};
  struct part {  // of a slot: what it holds of one job
    std::size_t at = Engine::header_bytes, room = 0;
  };
  auto const each_job = [&](auto const& f) {
    part chunk, sum;
    for (auto const& j : e.jobs()) {
      tensor_cut const cut = e.chunks(j, ranks);
      chunk.room = e.payload_bytes(j, cut.size);
      sum.room = e.payload_bytes(j, cut.size, sums);
      f(j, cut, chunk, sum);
      chunk.at += chunk.room;
      sum.at += sum.room;
    }
  };

  std::size_t used = 0;
  e.write_headers({send.data(), slot, ranks + 1});  // the result's, too: on a GPU every kernel more costs latency
  each_job([&](auto const& j, tensor_cut const& cut, part const& chunk, part const&) {
    used += e.encode(j, cut, sent.part(chunk.at), spare);
  });
  e.all_to_all(send, receive.first(chunks));
  e.check_headers(received);
  // Of the sums: numbers of a float16 carrier may add up to more than it holds.
  e.prescale(-detail::log2_ceil(ranks));
  each_job([&](auto const& j, tensor_cut const& cut, part const& chunk, part const& sum) {
    e.reduce(j, sums, cut, me, received.part(chunk.at), chunk.room, owned.part(sum.at), spare);
  });
  e.all_gather(result, receive.first(all_sums));
  e.check_headers(all);
  each_job([&](auto const& j, tensor_cut const& cut, part const&, part const& sum) {
    e.decode(j, sums, j.data, cut, all.part(sum.at), sum.room, spare);
  });
  return e.report(name, (ranks - 1) * (slot + sum_slot), used);
}

CCOMP_END
