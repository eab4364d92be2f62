#pragma once
/// One rank's tensor on every rank, compressed on the way.

#include <ccomp/collective/allgather.hpp>

CCOMP_BEGIN
namespace detail {

inline collective_report broadcast(collective_call const& call, int root, communicator_ref& comm,
                                   workspace<host_exec>& ws) {
  validate(call.stages);
  auto const& job = call.jobs[0];
  expects(root >= 0 && root < comm.size(),
          [&] { return "broadcast: root " + std::to_string(root) + " of " + std::to_string(comm.size()) + " ranks"; });
  call_identity const identity{"broadcast", "broadcast", &call, comm.size(), root};
  collective_frame const f(call, comm, identity);
  comm.agree(f.header.fingerprint, &identity, &call_identity::describe);
  mark_in_use(call);

  std::size_t const room = capacity(call.stages, job.data.n, job.data.type), slot = sizeof(slot_header) + room;
  auto const memory = ws.reserve(slot + scratch_bytes(call.stages, job.data.n));
  auto const bytes = memory.first(slot);
  scratch const spare(memory.subspan(slot));
  auto const context = call.context(job, static_cast<std::uint32_t>(root));
  std::size_t used = 0;
  if (comm.rank() == root) {
    write_header(bytes.data(), f.header);
    used =
        encode(call.stages, context, job.data, job.data.type, job.residual, bytes.subspan(sizeof(slot_header)), spare);
  }
  comm.broadcast(call.ex, bytes, root);
  check_header(bytes.data(), f.header, root, f.name);
  std::byte const* const one[] = {bytes.data() + sizeof(slot_header)};
  sum_decoded(call.stages, context, one, room, job.data.type, job.data, 1.0f, spare);
  return {"broadcast", comm.rank() == root ? (static_cast<std::size_t>(comm.size()) - 1) * slot : 0, used, ws.size()};
}

}  // namespace detail

/// Replaces the tensor on every rank, the root included, by what the root's tensor decodes to.
/// `c`: a compressor, or an error_feedback, of which only the root's residual changes.
template <class Comm, class C, class Data>
collective_report broadcast(host_exec const& ex, Comm& comm, C&& c, Data&& data, int root, workspace<host_exec>& ws,
                            collective_options options = {}) {
  using X = std::remove_cvref_t<C>;
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<X>::compressor_type>;
  constexpr bool comm_ok = can_broadcast<Comm, host_exec>;
  static_assert(
      compressor_ok,
      "ccomp::broadcast: the third argument is not a compressor; ccomp::check_stage<Stage>() names what a stage lacks");
  static_assert(comm_ok,
                "ccomp::broadcast: the communicator has no broadcast(exec, span<byte>, root) for this execution");
  if constexpr (compressor_ok && comm_ok) {
    std::span const inout(data);
    auto const stages = detail::stages_of(detail::compressor_of(c));
    detail::validate(stages);
    detail::job_list<std::remove_reference_t<C>> jobs(c, inout, options.tensor);
    communicator_ref erased(comm);
    auto const report = detail::broadcast({ex, stages, jobs.jobs(), false, options.at}, root, erased, ws);
    jobs.finish();
    return report;
  } else {
    return {};
  }
}

CCOMP_END
