#pragma once
/// One rank's tensor on every rank, compressed on the way.

#include <ccomp/collective/allgather.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine>
collective_report broadcast(Engine& e, collective_call const& call, int root, workspace<typename Engine::exec>& ws) {
  auto const& job = call.jobs[0];
  int const ranks = static_cast<int>(e.ranks());
  expects(root >= 0 && root < ranks,
          [&] { return "broadcast: root " + std::to_string(root) + " of " + std::to_string(ranks) + " ranks"; });
  pieces const all = whole(job.data.n);
  std::size_t const room = capacity(call.stages, job.data.n, job.data.type), slot = sizeof(slot_header) + room;
  auto const memory =
      ws.reserve(slot + std::max(e.encode_scratch(job, all), e.decode_scratch(job, call.stages, all)), "broadcast");
  e.begin({"broadcast", "broadcast", &call, ranks, root});
  auto const bytes = memory.first(slot);
  scratch const spare(memory.subspan(slot));
  slot_row const one{bytes.data(), slot, 1};
  bool const sends = static_cast<int>(e.rank()) == root;
  std::size_t used = 0;
  if (sends) {
    e.write_headers(one);
    used = e.encode(job, all, one.part(sizeof(slot_header)), spare);
  }
  e.broadcast(bytes, root);
  e.check_headers(one, static_cast<std::size_t>(root));
  e.decode(job, call.stages, job.data, all, one.part(sizeof(slot_header)), room, spare);
  return {"broadcast", sends ? (e.ranks() - 1) * slot : 0, used, ws.size()};
}

}  // namespace detail

/// Replaces the tensor on every rank, the root included, by what the root's tensor decodes to.
/// `c`: a compressor, or an error_feedback, of which only the root's residual changes.
template <class Exec, class Comm, class C, class Data>
collective_report broadcast(Exec const& ex, Comm& comm, C&& c, Data&& data, int root, workspace<Exec>& ws,
                            collective_options options = {}) {
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<std::remove_cvref_t<C>>::compressor_type>;
  constexpr bool residual_ok = detail::keeps_residual<C>();
  constexpr bool exec_ok = detail::has_collectives<Exec>;
  constexpr bool comm_ok = can_broadcast<Comm, Exec>;
  static_assert(exec_ok,
                "ccomp::broadcast: no engine for this execution; a cuda_exec needs <ccomp/ccomp.hpp> compiled by nvcc");
  static_assert(
      compressor_ok,
      "ccomp::broadcast: the third argument is not a compressor; ccomp::check_stage<Stage>() names what a stage lacks");
  static_assert(comm_ok,
                "ccomp::broadcast: the communicator has no broadcast(exec, span<byte>, root) for this execution");
  static_assert(
      residual_ok,
      "ccomp::broadcast: the error_feedback is const or a temporary, so that its residual would be lost; pass a "
      "variable that is not const");
  if constexpr (residual_ok && exec_ok && compressor_ok && comm_ok) {
    auto const inout = detail::output_span(data);
    auto report = detail::run_collective(
        "broadcast", ex, comm, c, inout, ws, {reduction::sum, options.at, options.tensor},
        [&](auto& engine, auto const& call) { return detail::broadcast(engine, call, root, ws); });
    report.feedback = report.feedback && comm.rank() == root;
    return report;
  } else {
    return {};
  }
}

CCOMP_END
