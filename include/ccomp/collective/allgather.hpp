#pragma once
/// allgather: every rank has a shard, and every rank receives all shards, compressed on the way.

#include <ccomp/collective/run.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report allgather(Engine& e, values const& full) {
  auto const& shard = e.jobs()[0];
  std::size_t const ranks = e.ranks(), n = shard.data.n;
  expects(full.n == ranks * n, [&] {
    return sentence("allgather: ", ranks, " shards of ", n, " values need an output of ", ranks * n, ", got ", full.n);
  });
  e.expect_output(full);
  tensor_cut const whole = e.whole(shard), shards{full.n, n, ranks, 0};
  std::size_t const room = e.payload_bytes(shard, n), slot = Engine::header_bytes + room;
  auto const memory = e.reserve(slot * (ranks + 1) +
                                std::max(e.encode_scratch(shard, whole), e.decode_scratch(shard, e.chain(), shards)));
  e.begin("gather");
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks),
             spare = memory.subspan(slot * (ranks + 1));
  slot_row const sent{mine.data(), slot, 1}, received{all.data(), slot, ranks};
  e.write_headers(sent);
  std::size_t const used = e.encode(shard, whole, sent.part(Engine::header_bytes), spare);
  e.seal(sent);
  e.all_gather(mine, all);
  e.check_headers(received);
  e.decode(shard, e.chain(), full, shards, received.part(Engine::header_bytes), room, spare);
  return e.report("gather", (ranks - 1) * slot, used);
}

}  // namespace detail

/// full[r n .. (r+1) n) = the decoded shard of rank r, n values; the same bits on every rank, including rank r itself.
/// `c`: a compressor or an error_feedback over the shard. Shards have one size on all ranks.
template <class Exec, class Comm, class C, class Shard, class Full>
collective_report allgather(Exec const& ex, Comm& comm, C&& c, Shard const& shard, Full&& full, workspace<Exec>& ws,
                            collective_options options = {}) {
  static_assert(
      can_all_gather<Comm, Exec>,
      "ccomp::allgather: the communicator has no all_gather(exec, span<byte const>, span<byte>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_all_gather<Comm, Exec>) {
    auto const in = detail::input_span(shard);
    auto const out = detail::output_span(full);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::allgather: shard and output differ in type");
    auto input = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "allgather", ex, comm, c, input, ws, options, {},
        [&](auto& engine) { return detail::allgather(engine, detail::view(out)); });
  } else {
    return {};
  }
}

CCOMP_END
