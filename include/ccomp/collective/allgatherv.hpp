#pragma once
/// allgatherv: every rank has a shard of its own size, and every rank receives all shards, compressed on the way.

#include <ccomp/collective/run.hpp>

#include <numeric>
#include <vector>

CCOMP_BEGIN
namespace detail {

template <class Engine>
collective_report allgatherv(Engine& e, values const& full, std::span<std::size_t const> counts) {
  auto const& shard = e.jobs()[0];
  std::size_t const ranks = e.ranks(), rank = e.rank(), n = shard.data.n;
  expects(counts.size() == ranks,
          [&] { return sentence("allgatherv: ", counts.size(), " counts for ", ranks, " ranks"); });
  expects(counts[rank] == n, [&] {
    return sentence("allgatherv: rank ", rank, " has a shard of ", n, " values and a count of ", counts[rank]);
  });
  std::size_t const total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  expects(full.n == total,
          [&] { return sentence("allgatherv: shards of ", total, " values need an output of as many, got ", full.n); });
  e.expect_output(full);
  struct place {
    std::size_t value, slot, room;
  };
  std::vector<place> places;
  std::size_t bytes = 0, most = e.encode_scratch(shard, e.whole(shard)), value = 0;
  auto const cut_of = [&](std::size_t r) { return tensor_cut{counts[r], counts[r], 1, 0}; };
  for (std::size_t r = 0; r < ranks; ++r) {
    places.push_back({value, bytes, e.payload_bytes(shard, counts[r])});
    value += counts[r];
    bytes += Engine::header_bytes + places[r].room;
    most = std::max(most, e.decode_scratch(shard, e.chain(), cut_of(r)));
  }
  auto const memory = e.reserve(bytes + most);
  auto const spare = memory.subspan(bytes);
  auto const slot_of = [&](std::size_t r) {
    return slot_row{memory.data() + places[r].slot, Engine::header_bytes + places[r].room, 1};
  };
  auto const bytes_of = [&](std::size_t r) {
    return std::span<std::byte>{memory.data() + places[r].slot, Engine::header_bytes + places[r].room};
  };
  e.begin("transfer");
  auto const own = slot_of(rank);
  e.write_headers(own);
  std::size_t const used = e.encode(shard, cut_of(rank), own.part(Engine::header_bytes), spare);
  e.seal(own);
  std::vector<outgoing_message> out;
  std::vector<incoming_message> in;
  for (std::size_t k = 1; k < ranks; ++k) {  // not all to rank 0 first
    std::size_t const to = (rank + k) % ranks, from = (rank + ranks - k) % ranks;
    out.push_back({static_cast<int>(to), bytes_of(rank)});
    in.push_back({static_cast<int>(from), bytes_of(from)});
  }
  e.transfer(out, in);
  for (std::size_t r = 0; r < ranks; ++r) e.check_headers(slot_of(r), r);
  for (std::size_t r = 0; r < ranks; ++r)
    e.decode(shard, e.chain(), part(full, places[r].value, counts[r]), cut_of(r), slot_of(r).part(Engine::header_bytes),
             places[r].room, spare);
  return e.report("transfer", (ranks - 1) * bytes_of(rank).size(), used);
}

}  // namespace detail

/// full = the decoded shards of all ranks, one after another: rank r's has counts[r] values, which may be none. All ranks
/// give the same counts. The same bits on every rank, including rank r itself. `c`: a compressor or an error_feedback over
/// the shard. Where all shards have one size, allgather is the same with fewer messages.
template <class Exec, class Comm, class C, class Shard, class Full>
collective_report allgatherv(Exec const& ex, Comm& comm, C&& c, Shard const& shard, Full&& full,
                             std::span<std::size_t const> counts, workspace<Exec>& ws,
                             collective_options options = {}) {
  static_assert(
      can_transfer<Comm, Exec>,
      "ccomp::allgatherv: the communicator has no transfer(exec, span<outgoing_message const>, span<incoming_message "
      "const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const in = detail::input_span(shard);
    auto const out = detail::output_span(full);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::allgatherv: shard and output differ in type");
    auto input = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "allgatherv", ex, comm, c, input, ws, options, {.keeps_input = true, .counts = counts},
        [&](auto& engine) { return detail::allgatherv(engine, detail::view(out), counts); });
  } else {
    return {};
  }
}

CCOMP_END
