#pragma once
/// What calls with a root have in common. The names of reduce_to, gather_to and scatter_from say which rank gives or receives, because
/// `gather` is a strategy of allreduce.

#include <ccomp/collective/run.hpp>

#include <vector>

CCOMP_BEGIN
namespace detail {

/// Whether this rank is the root.
template <class Engine> bool is_root(Engine const& e, char const* call, int root) {
  expects(root >= 0 && static_cast<std::size_t>(root) < e.ranks(),
          [&] { return sentence(call, ": root ", root, " of ", e.ranks(), " ranks"); });
  return e.rank() == static_cast<std::size_t>(root);
}

/// Every rank encodes its whole tensor. `finish(payloads, room, spare)` runs on the root, with the payloads of all ranks.
template <class Engine, class Finish>
collective_report bring_to(Engine& e, int root, bool mine, std::size_t finish_scratch, Finish const& finish) {
  auto const& job = e.jobs()[0];
  std::size_t const ranks = e.ranks();
  tensor_cut const whole = e.whole(job);
  std::size_t const room = e.payload_bytes(job, job.data.n), slot = Engine::header_bytes + room,
                    slots = mine ? ranks : 1;
  auto const memory = e.reserve(slot * slots + std::max(e.encode_scratch(job, whole), mine ? finish_scratch : 0));
  auto const spare = memory.subspan(slot * slots);
  e.begin("transfer", root);
  slot_row const all{memory.data(), slot, slots}, own{all.of(mine ? e.rank() : 0), slot, 1};
  e.write_headers(own);
  std::size_t const used = e.encode(job, whole, own.part(Engine::header_bytes), spare);
  e.seal(own);
  if (mine) {
    std::vector<incoming_message> in;
    for (std::size_t r = 0; r < ranks; ++r)
      if (r != e.rank()) in.push_back({static_cast<int>(r), {all.of(r), slot}});
    e.transfer({}, in);
    e.check_headers(all);
    finish(all.part(Engine::header_bytes), room, spare);
  } else {
    outgoing_message const out{root, {own.data, slot}};
    e.transfer({&out, 1}, {});
  }
  return e.report("transfer", mine ? 0 : slot, used);
}

}  // namespace detail
CCOMP_END
