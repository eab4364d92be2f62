#pragma once
/// all_to_all: every rank has a chunk for every other rank, compressed on the way (the dispatch of a mixture of experts).

#include <ccomp/collective/run.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> collective_report all_to_all(Engine& e, values const& output) {
  auto const& job = e.jobs()[0];
  std::size_t const ranks = e.ranks(), n = job.data.n / ranks;
  expects(job.data.n == ranks * n, [&] {
    return sentence("all_to_all: an input of ", job.data.n, " values is not ", ranks, " chunks of one size");
  });
  expects(output.n == job.data.n, [&] {
    return sentence("all_to_all: an input of ", job.data.n, " values needs an output of as many, got ", output.n);
  });
  e.expect_output(output);
  // As in reduce_scatter, each chunk draws its random bits from a group of its own: what comes was chunk rank() of its rank.
  tensor_cut const cut{job.data.n, n, ranks, round_up(n, granule(e.chain()))};
  tensor_cut const coming{
      .n = job.data.n, .size = n, .count = ranks, .first_stride = 0, .start = e.rank() * cut.first_stride};
  std::size_t const room = e.payload_bytes(job, n), slot = Engine::header_bytes + room;
  auto const memory =
      e.reserve(2 * slot * ranks + std::max(e.encode_scratch(job, cut), e.decode_scratch(job, e.chain(), coming)));
  e.begin("all_to_all");
  auto const send = memory.first(slot * ranks), receive = memory.subspan(slot * ranks, slot * ranks),
             spare = memory.subspan(2 * slot * ranks);
  slot_row const sent{send.data(), slot, ranks}, received{receive.data(), slot, ranks};
  e.write_headers(sent);
  std::size_t const used = e.encode(job, cut, sent.part(Engine::header_bytes), spare);
  e.seal(sent);
  e.all_to_all(send, receive);
  e.check_headers(received);
  e.decode(job, e.chain(), output, coming, received.part(Engine::header_bytes), room, spare);
  return e.report("all_to_all", (ranks - 1) * slot, used);
}

}  // namespace detail

/// output[r n .. (r+1) n) = the decoded chunk rank() of rank r's input: chunk r of each input goes to rank r, chunk rank() to
/// this rank itself. Input and output have size() times n values, the same on all ranks; the output may be the input. `c`: a
/// compressor, or an error_feedback of the size of the whole input.
template <class Exec, class Comm, class C, class In, class Out>
collective_report all_to_all(Exec const& ex, Comm& comm, C&& c, In const& input, Out&& output, workspace<Exec>& ws,
                             collective_options options = {}) {
  static_assert(
      can_all_to_all<Comm, Exec>,
      "ccomp::all_to_all: the communicator has no all_to_all(exec, span<byte const>, span<byte>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_all_to_all<Comm, Exec>) {
    auto const in = detail::input_span(input);
    auto const out = detail::output_span(output);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::all_to_all: input and output differ in type");
    auto whole = detail::only_read(in);
    return detail::run_collective</*MaySum=*/false>(
        "all_to_all", ex, comm, c, whole, ws, options, {.keeps_input = true},
        [&](auto& engine) { return detail::all_to_all(engine, detail::view(out)); });
  } else {
    return {};
  }
}

CCOMP_END
