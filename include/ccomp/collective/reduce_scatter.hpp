#pragma once
/// Each rank receives one chunk of the sum over ranks, compressed on the way (ZeRO++'s qgZ on one level).

#include <ccomp/collective/allgather.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine>
collective_report reduce_scatter(Engine& e, collective_call const& call, values const& chunk,
                                 workspace<typename Engine::exec>& ws) {
  auto const& job = call.jobs[0];
  std::size_t const ranks = e.ranks();
  expects(job.data.n == ranks * chunk.n, [&] {
    return "reduce_scatter: " + std::to_string(ranks) + " chunks of " + std::to_string(chunk.n) +
           " values need an input of " + std::to_string(ranks * chunk.n) + ", got " + std::to_string(job.data.n);
  });
  e.expect_output(chunk);
  // The caller's split may lie anywhere: each chunk draws its random bits from a group of its own.
  pieces const cut{job.data.n, chunk.n, ranks, round_up(chunk.n, granule(call.stages))};
  std::size_t const room = capacity(call.stages, chunk.n, job.data.type), slot = sizeof(slot_header) + room;
  auto const memory = ws.reserve(
      2 * slot * ranks + std::max(e.encode_scratch(job, cut), e.sum_scratch(job, chunk.n, ranks)), "reduce_scatter");
  e.begin({"reduce_scatter", "all_to_all", &call, static_cast<int>(ranks)});
  auto const send = memory.first(slot * ranks), receive = memory.subspan(slot * ranks, slot * ranks);
  scratch const spare(memory.subspan(2 * slot * ranks));
  slot_row const sent{send.data(), slot, ranks}, received{receive.data(), slot, ranks};
  e.write_headers(sent);
  std::size_t const used = e.encode(job, cut, sent.part(sizeof(slot_header)), spare);
  e.all_to_all(send, receive);
  e.check_headers(received);
  e.sum(job, chunk, e.rank() * cut.first_stride, received.part(sizeof(slot_header)), room, spare);
  return {"all_to_all", (ranks - 1) * slot, used, ws.size()};
}

}  // namespace detail

/// chunk = values [r n, (r+1) n) of the sum (or mean) over ranks, on rank r; the input has size() times n values and is
/// only read. `c`: a compressor or an error_feedback over the whole input. fp32 accumulation in rank order.
template <class Exec, class Comm, class C, class In, class Out>
collective_report reduce_scatter(Exec const& ex, Comm& comm, C&& c, In const& input, Out&& chunk, workspace<Exec>& ws,
                                 allreduce_options options = {}) {
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<std::remove_cvref_t<C>>::compressor_type>;
  constexpr bool residual_ok = detail::keeps_residual<C>();
  constexpr bool exec_ok = detail::has_collectives<Exec>;
  constexpr bool comm_ok = can_all_to_all<Comm, Exec>;
  static_assert(
      exec_ok,
      "ccomp::reduce_scatter: no engine for this execution; a cuda_exec needs <ccomp/ccomp.hpp> compiled by nvcc");
  static_assert(compressor_ok,
                "ccomp::reduce_scatter: the third argument is not a compressor; ccomp::check_stage<Stage>() names what "
                "a stage lacks");
  static_assert(comm_ok,
                "ccomp::reduce_scatter: the communicator has no all_to_all(exec, span<byte const>, span<byte>) for "
                "this execution");
  static_assert(
      residual_ok,
      "ccomp::reduce_scatter: the error_feedback is const or a temporary, so that its residual would be lost; pass a "
      "variable that is not const");
  if constexpr (residual_ok && exec_ok && compressor_ok && comm_ok) {
    auto const in = detail::input_span(input);
    auto const out = detail::output_span(chunk);
    using T = typename decltype(out)::element_type;
    static_assert(std::same_as<std::remove_cv_t<typename decltype(in)::element_type>, T>,
                  "ccomp::reduce_scatter: input and output differ in type");
    std::span<T> whole(const_cast<T*>(in.data()), in.size());  // only read
    return detail::run_collective(
        "reduce_scatter", ex, comm, c, whole, ws, options,
        [&](auto& engine, auto const& call) { return detail::reduce_scatter(engine, call, detail::view(out), ws); });
  } else {
    return {};
  }
}

CCOMP_END
