#pragma once
/// reduce_scatter: each rank receives one chunk of the sum over ranks, compressed on the way (ZeRO++'s qgZ on one
/// level).

#include <ccomp/collective/allreduce.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report reduce_scatter(Engine& e, values const& chunk) {
  auto const& job = e.jobs()[0];
  std::size_t const ranks = e.ranks();
  expects(job.data.n == ranks * chunk.n, [&] {
    return sentence("reduce_scatter: ", ranks, " chunks of ", chunk.n, " values need an input of ", ranks * chunk.n,
                    ", got ", job.data.n);
  });
  e.expect_output(chunk);
  // The caller's split may lie anywhere: each chunk draws its random bits from a group of its own.
  tensor_cut const cut{job.data.n, chunk.n, ranks, round_up(chunk.n, granule(e.chain()))};
  std::size_t const room = e.payload_bytes(job, chunk.n), slot = Engine::header_bytes + room;
  auto const memory =
      e.reserve(2 * slot * ranks + std::max(e.encode_scratch(job, cut), e.sum_scratch(job, chunk.n, ranks)));
  e.begin("all_to_all");
  auto const send = memory.first(slot * ranks), receive = memory.subspan(slot * ranks, slot * ranks),
             spare = memory.subspan(2 * slot * ranks);
  slot_row const sent{send.data(), slot, ranks}, received{receive.data(), slot, ranks};
  e.write_headers(sent);
  std::size_t const used = e.encode(job, cut, sent.part(Engine::header_bytes), spare);
  e.seal(sent);
  e.all_to_all(send, receive);
  e.check_headers(received);
  e.sum(job, chunk, e.rank() * cut.first_stride, received.part(Engine::header_bytes), room, spare);
  return e.report("all_to_all", (ranks - 1) * slot, used);
}

}  // namespace detail

/// chunk = values [r n, (r+1) n) of the sum (or mean) over ranks, on rank r; the input has size() times n values and is
/// only read. `c`: a compressor, or an error_feedback of the size of the whole input. Sums are accumulated in float32,
/// in rank order.
template <class Exec, class Comm, class C, class In, class Out>
collective_report reduce_scatter(Exec const& ex, Comm& comm, C&& c, In const& input, Out&& chunk, workspace<Exec>& ws,
                                 allreduce_options options = {}) {
  static_assert(can_all_to_all<Comm, Exec>,
                "ccomp::reduce_scatter: the communicator has no all_to_all(exec, span<byte const>, span<byte>) for "
                "this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_all_to_all<Comm, Exec>) {
    auto const in = detail::input_span(input);
    auto const out = detail::output_span(chunk);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::reduce_scatter: input and output differ in type");
    auto whole = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "reduce_scatter", ex, comm, c, whole, ws, {options.at, options.tensor},
        {options.op, options.weight, /*keeps_input=*/true},
        [&](auto& engine) { return detail::reduce_scatter(engine, detail::view(out)); });
  } else {
    return {};
  }
}

CCOMP_END
