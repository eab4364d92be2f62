#pragma once
/// Each rank receives one chunk of the sum over ranks, compressed on the way (ZeRO++'s qgZ on one level).

#include <ccomp/collective/allgather.hpp>

CCOMP_BEGIN
namespace detail {

inline collective_report reduce_scatter(collective_call const& call, values chunk, communicator_ref& comm,
                                        workspace<host_exec>& ws) {
  validate(call.stages);
  auto const& job = call.jobs[0];
  auto const ranks = static_cast<std::size_t>(comm.size());
  expects(job.data.n == ranks * chunk.n, [&] {
    return "reduce_scatter: " + std::to_string(ranks) + " chunks of " + std::to_string(chunk.n) +
           " values need an input of " + std::to_string(ranks * chunk.n) + ", got " + std::to_string(job.data.n);
  });
  call_identity const identity{"reduce_scatter", "all_to_all", &call, comm.size()};
  collective_frame const f(call, comm, identity);
  comm.agree(f.header.fingerprint, &identity, &call_identity::describe);
  mark_in_use(call);

  std::size_t const room = capacity(call.stages, chunk.n, job.data.type), slot = sizeof(slot_header) + room;
  auto const memory = ws.reserve(2 * slot * ranks + scratch_bytes(call.stages, chunk.n));
  auto const send = memory.first(slot * ranks), receive = memory.subspan(slot * ranks, slot * ranks);
  scratch const spare(memory.subspan(2 * slot * ranks));
  // A chunk starts where the caller's split puts it; random bits are drawn for whole groups, so each chunk counts its
  // values from a group of its own.
  std::uint64_t const stride = round_up(chunk.n, granule(call.stages));
  std::size_t used = 0;
  for (std::size_t to = 0; to < ranks; ++to) {
    write_header(send.data() + to * slot, f.header);
    used += encode(call.stages, call.context(job, f.rank(), 0, to * stride),
                   part(const_values(job.data), to * chunk.n, chunk.n), job.data.type, part(job.residual, to * chunk.n),
                   send.subspan(to * slot + sizeof(slot_header), room), spare);
  }
  comm.all_to_all(call.ex, send, receive);
  std::vector<std::byte const*> payloads(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    check_header(receive.data() + r * slot, f.header, static_cast<int>(r), f.name);
    payloads[r] = receive.data() + r * slot + sizeof(slot_header);
  }
  sum_decoded(call.stages, call.context(job, f.rank(), 0, f.rank() * stride), payloads, room, job.data.type, chunk,
              f.divisor, spare);
  return {"all_to_all", (ranks - 1) * slot, used, ws.size()};
}

}  // namespace detail

/// chunk = values [r n, (r+1) n) of the sum (or mean) over ranks, on rank r; the input has size() times n values and is
/// only read. `c`: a compressor or an error_feedback over the whole input. fp32 accumulation in rank order.
template <class Comm, class C, class In, class Out>
collective_report reduce_scatter(host_exec const& ex, Comm& comm, C&& c, In const& input, Out&& chunk,
                                 workspace<host_exec>& ws, allreduce_options options = {}) {
  using X = std::remove_cvref_t<C>;
  constexpr bool compressor_ok = compressor<typename detail::feedback_traits<X>::compressor_type>;
  constexpr bool comm_ok = can_all_to_all<Comm, host_exec>;
  static_assert(compressor_ok,
                "ccomp::reduce_scatter: the third argument is not a compressor; ccomp::check_stage<Stage>() names what "
                "a stage lacks");
  static_assert(comm_ok,
                "ccomp::reduce_scatter: the communicator has no all_to_all(exec, span<byte const>, span<byte>) for "
                "this execution");
  if constexpr (compressor_ok && comm_ok) {
    std::span const in(input);
    std::span const out(chunk);
    using T = typename decltype(out)::element_type;
    static_assert(std::same_as<std::remove_cv_t<typename decltype(in)::element_type>, T>,
                  "ccomp::reduce_scatter: input and output differ in type");
    auto const stages = detail::stages_of(detail::compressor_of(c));
    detail::validate(stages);
    std::span<T> whole(const_cast<T*>(in.data()), in.size());  // only read
    detail::job_list<std::remove_reference_t<C>> jobs(c, whole, options.tensor);
    communicator_ref erased(comm);
    auto const report = detail::reduce_scatter({ex, stages, jobs.jobs(), options.op == reduction::mean, options.at},
                                               detail::view(out), erased, ws);
    jobs.finish();
    return report;
  } else {
    return {};
  }
}

CCOMP_END
