#pragma once
/// gather_to: every rank has a shard, and one rank receives all shards, compressed on the way.

#include <ccomp/collective/rooted.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report gather_to(Engine& e, values const& full, int root) {
  auto const& shard = e.jobs()[0];
  std::size_t const ranks = e.ranks(), n = shard.data.n;
  bool const mine = is_root(e, "gather_to", root);
  tensor_cut const shards{ranks * n, n, ranks, 0};
  if (mine) {
    expects(full.n == ranks * n, [&] {
      return sentence("gather_to: ", ranks, " shards of ", n, " values need an output of ", ranks * n,
                      " on the root, got ", full.n);
    });
    e.expect_output(full);
  }
  return bring_to(e, root, mine, e.decode_scratch(shard, e.chain(), shards),
                  [&](slot_row const& payloads, std::size_t room, std::span<std::byte> spare) {
                    e.decode(shard, e.chain(), full, shards, payloads, room, spare);
                  });
}

}  // namespace detail

/// full[r n .. (r+1) n) = the decoded shard of rank r, n values, on the rank `root`; the root's own shard is decoded, too.
/// The other ranks' `full` is not touched, and may be empty. `c`: a compressor or an error_feedback over the shard. Shards
/// have one size on all ranks. Every rank but the root sends one payload, and receives none.
template <class Exec, class Comm, class C, class Shard, class Full>
collective_report gather_to(Exec const& ex, Comm& comm, C&& c, Shard const& shard, Full&& full, int root,
                            workspace<Exec>& ws, collective_options options = {}) {
  static_assert(
      can_transfer<Comm, Exec>,
      "ccomp::gather_to: the communicator has no transfer(exec, span<outgoing_message const>, span<incoming_message "
      "const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const in = detail::input_span(shard);
    auto const out = detail::output_span(full);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::gather_to: shard and output differ in type");
    auto input = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "gather_to", ex, comm, c, input, ws, options, {.keeps_input = true},
        [&](auto& engine) { return detail::gather_to(engine, detail::view(out), root); });
  } else {
    return {};
  }
}

CCOMP_END
