#pragma once
/// broadcast: one rank's tensor on every rank, compressed on the way.

#include <ccomp/collective/rooted.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report broadcast(Engine& e, int root) {
  auto const& job = e.jobs()[0];
  bool const sends = is_root(e, "broadcast", root);
  tensor_cut const whole = e.whole(job);
  std::size_t const room = e.payload_bytes(job, job.data.n), slot = Engine::header_bytes + room;
  auto const memory = e.reserve(slot + std::max(e.encode_scratch(job, whole), e.decode_scratch(job, e.chain(), whole)));
  e.begin("broadcast", root);
  auto const bytes = memory.first(slot), spare = memory.subspan(slot);
  slot_row const one{bytes.data(), slot, 1};
  std::size_t used = 0;
  if (sends) {
    e.write_headers(one);
    used = e.encode(job, whole, one.part(Engine::header_bytes), spare);
    e.seal(one);
  }
  e.broadcast(bytes, root);
  e.check_headers(one, static_cast<std::size_t>(root));
  e.decode(job, e.chain(), job.data, whole, one.part(Engine::header_bytes), room, spare);
  return e.report("broadcast", sends ? (e.ranks() - 1) * slot : 0, used);
}

}  // namespace detail

/// Replaces the tensor on every rank, including the root, by the decoded payload of the root's tensor. `c`: a
/// compressor, or an error_feedback, of which only the root's residual changes.
template <class Exec, class Comm, class C, class Data>
collective_report broadcast(Exec const& ex, Comm& comm, C&& c, Data&& data, int root, workspace<Exec>& ws,
                            collective_options options = {}) {
  static_assert(can_broadcast<Comm, Exec>,
                "ccomp::broadcast: the communicator has no broadcast(exec, span<byte>, root) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_broadcast<Comm, Exec>) {
    auto const inout = detail::output_span(data);
    auto report =
        detail::run_collective</*MaySum=*/false>("broadcast", ex, comm, c, inout, ws, options, {},
                                                 [&](auto& engine) { return detail::broadcast(engine, root); });
    report.feedback = report.feedback && comm.rank() == root;
    return report;
  } else {
    return {};
  }
}

CCOMP_END
