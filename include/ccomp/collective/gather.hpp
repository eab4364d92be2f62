#pragma once

#include <ccomp/collective/slices.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

CCOMP_BEGIN

/// Every rank sends its payload to every other rank. Every rank decodes all payloads and adds them.
///
/// Bytes:    (W - 1) payloads sent per rank
/// Rounding: the compressor rounds once, and the sum (float32, in rank order) once
/// Throws:   invalid_argument if trim is set for a cuda_exec; payload_error if a rank announces more than there is room for
/// Needs:    all_gather
struct gather {
  static constexpr std::string_view name = "gather";
  /// The ranks first tell each other how long their payloads are, 8 bytes per tensor, and then send only as much as the
  /// longest of each tensor: for stages whose input decides how much they send (threshold, block_threshold), at the price of
  /// one more exchange. On the host only, since on a GPU only the device knows the lengths.
  bool trim = false;

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

 private:
  /// What each job takes of a slot. Moves the parts of `slot` together. `memory`: length_bytes().
  template <class Engine>
  static void cut_rooms(Engine& e, std::span<std::size_t const> used, std::span<std::size_t> rooms, std::byte* slot,
                        std::span<std::byte> memory);
  /// The lengths of this rank's payloads, then those of all ranks. In the workspace, which outlives a failed exchange.
  template <class Engine> static std::size_t length_bytes(Engine const& e) {
    return detail::pad16(e.jobs().size() * (e.ranks() + 1) * sizeof(std::uint64_t));
  }
};

/// The longest of all ranks, and no more than there was room for.
template <class Engine>
void gather::cut_rooms(Engine& e, std::span<std::size_t const> used, std::span<std::size_t> rooms, std::byte* slot,
                       std::span<std::byte> memory) {
  std::size_t const jobs = used.size(), ranks = e.ranks();
  std::span const mine(reinterpret_cast<std::uint64_t*>(memory.data()), jobs), all(mine.data() + jobs, jobs * ranks);
  std::ranges::copy(used, mine.begin());
  e.all_gather(std::as_bytes(mine), std::as_writable_bytes(all));
  std::size_t from = Engine::header_bytes, to = from;
  for (std::size_t j = 0; j < jobs; ++j) {
    std::uint64_t longest = used[j];  // whatever came back of it
    for (std::size_t r = 0; r < ranks; ++r) {
      std::uint64_t const announced = all[r * jobs + j];
      detail::expects<payload_error>(announced <= rooms[j], [&] {
        return detail::sentence("allreduce: rank ", r, " announces ", announced, " bytes for tensor ", j, ", at most ",
                                rooms[j], " fit");
      });
      longest = std::max(longest, announced);
    }
    auto const room = static_cast<std::size_t>(detail::pad16(longest));
    std::memmove(slot + to, slot + from, used[j]);
    std::memset(slot + to + used[j], 0, room - used[j]);
    from += rooms[j];
    to += rooms[j] = room;
  }
}

template <class Engine> collective_report gather::run(Engine& e) const {
  detail::expects(
      !trim || Engine::knows_lengths,
      "allreduce: gather{.trim = true} runs on the host only, because on a GPU only the device knows how long "
      "payloads are; use gather{}");
  std::size_t const ranks = e.ranks();
  // The ranks tell each other the lengths of all payloads at once.
  auto const slices =
      slices_of(e, trim ? static_cast<std::size_t>(-1) : e.slice_bytes(), [&](auto const& j) { return e.whole(j); });
  auto const payload = [&](slice_part const& p) { return e.payload_bytes(*p.job, p.cut.length(0)); };
  std::size_t const most = detail::most_of(slices, [&](slice_part const& p) {
    return std::max(e.encode_scratch(*p.job, p.cut), e.sum_scratch(*p.job, p.cut.length(0), ranks));
  });
  std::size_t const slot = detail::longest_slot(e, slices, payload), lanes = detail::lanes_for(slices.size()),
                    lane = slot * (ranks + 1), lengths = trim ? length_bytes(e) : 0;
  auto const memory = e.reserve(lanes * lane + lengths + most);
  auto const spare = memory.subspan(lanes * lane + lengths);
  e.begin(name, -1, trim ? "trimmed" : "");

  std::size_t sent_bytes = 0, encoded = 0;
  std::vector<std::size_t> rooms;
  in_lanes(e, slices.size(), lanes,
           [&](std::size_t number, std::size_t mine, int step) -> std::optional<exchange_handle> {
             auto const& slice = slices[number];
             auto const here = memory.subspan(mine * lane, lane), all = here.subspan(slot);
             if (step == 0 || !trim) {
               rooms.clear();
               for (auto const& p : slice) rooms.push_back(payload(p));
             }
             if (step == 0) {
               slot_row const sent{here.data(), slot, 1};
               e.write_headers(sent);
               std::vector<std::size_t> used;
               std::size_t bytes = Engine::header_bytes;
               for (std::size_t i = 0; i < slice.size(); bytes += rooms[i++]) {
                 used.push_back(e.encode(*slice[i].job, slice[i].cut, sent.part(bytes), spare));
                 encoded += used.back();
               }
               if constexpr (Engine::knows_lengths)
                 if (trim) {
                   cut_rooms(e, used, rooms, here.data(), memory.subspan(lanes * lane, lengths));
                   sent_bytes += (ranks - 1) * used.size() * sizeof(std::uint64_t);
                   bytes = std::accumulate(rooms.begin(), rooms.end(), Engine::header_bytes);
                 }
               e.seal({here.data(), bytes, 1});
               sent_bytes += (ranks - 1) * bytes;
               return e.start_all_gather(here.first(bytes), all.first(bytes * ranks), static_cast<int>(number));
             }
             std::size_t const bytes = std::accumulate(rooms.begin(), rooms.end(), Engine::header_bytes);
             slot_row const received{all.data(), bytes, ranks};
             e.check_headers(received);
             std::size_t at = Engine::header_bytes;
             for (std::size_t i = 0; i < slice.size(); at += rooms[i++]) {
               auto const& [job, cut] = slice[i];
               e.sum(*job, detail::part(job->data, cut.first(0), cut.length(0)), cut.counted_from(0), received.part(at),
                     rooms[i], spare);
             }
             return std::nullopt;
           });
  return e.report(name, sent_bytes, encoded);
}

CCOMP_END
