#pragma once
/// scatter_from: one rank has a chunk for every rank, and each rank receives its own, compressed on the way.

#include <ccomp/collective/rooted.hpp>

CCOMP_BEGIN
namespace detail {

/// The job: the root's input; on the other ranks the chunk that is written, since they have no input.
template <class Engine> collective_report scatter_from(Engine& e, values const& chunk, int root) {
  auto const& job = e.jobs()[0];
  std::size_t const ranks = e.ranks(), n = chunk.n, rank = e.rank();
  bool const mine = is_root(e, "scatter_from", root);
  expects(!mine || job.data.n == ranks * n, [&] {
    return sentence("scatter_from: ", ranks, " chunks of ", n, " values need an input of ", ranks * n,
                    " on the root, got ", job.data.n);
  });
  e.expect_output(chunk);
  // As in reduce_scatter, each chunk draws its random bits from a group of its own.
  tensor_cut const cut{ranks * n, n, ranks, round_up(n, granule(e.chain()))};
  tensor_cut const own{.n = n, .size = n, .count = 1, .first_stride = 0, .start = rank * cut.first_stride};
  std::size_t const room = e.payload_bytes(job, n), slot = Engine::header_bytes + room, slots = mine ? ranks : 1;
  auto const memory =
      e.reserve(slot * slots + std::max(mine ? e.encode_scratch(job, cut) : 0, e.decode_scratch(job, e.chain(), own)));
  auto const spare = memory.subspan(slot * slots);
  e.begin("transfer", root);
  slot_row const all{memory.data(), slot, slots}, received{all.of(mine ? rank : 0), slot, 1};
  std::size_t used = 0;
  if (mine) {
    e.write_headers(all);
    used = e.encode(job, cut, all.part(Engine::header_bytes), spare);
    e.seal(all);
    std::vector<outgoing_message> out;
    for (std::size_t r = 0; r < ranks; ++r)
      if (r != rank) out.push_back({static_cast<int>(r), {all.of(r), slot}});
    e.transfer(out, {});
  } else {
    incoming_message const in{root, {received.data, slot}};
    e.transfer({}, {&in, 1});
  }
  e.check_headers(received, static_cast<std::size_t>(root));
  e.decode(job, e.chain(), chunk, own, received.part(Engine::header_bytes), room, spare);
  return e.report("transfer", mine ? (ranks - 1) * slot : 0, used);
}

}  // namespace detail

/// chunk = the decoded values [r n, (r+1) n) of the root's input, on rank r, the root included. The root's input has size()
/// times n values; the other ranks' is not looked at, and may be empty. `c`: a compressor, or an error_feedback of the size
/// of what the rank brings: the whole input on the root, whose residual alone changes, and a chunk on the other ranks. The
/// root sends each rank one payload.
template <class Exec, class Comm, class C, class In, class Out>
collective_report scatter_from(Exec const& ex, Comm& comm, C&& c, In const& input, Out&& chunk, int root,
                               workspace<Exec>& ws, collective_options options = {}) {
  static_assert(can_transfer<Comm, Exec>,
                "ccomp::scatter_from: the communicator has no transfer(exec, span<outgoing_message const>, "
                "span<incoming_message const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const in = detail::input_span(input);
    auto const out = detail::output_span(chunk);
    static_assert(detail::same_values<decltype(in), decltype(out)>,
                  "ccomp::scatter_from: input and output differ in type");
    bool const sends = comm.rank() == root;
    auto data = sends ? detail::only_read(in) : out;
    std::size_t const count = out.size();
    auto report = detail::run_collective</*MaySum=*/false>(
        "scatter_from", ex, comm, c, data, ws, options, {.keeps_input = true, .counts = {&count, 1}},
        [&](auto& engine) { return detail::scatter_from(engine, detail::view(out), root); });
    report.feedback = report.feedback && sends;
    return report;
  } else {
    return {};
  }
}

CCOMP_END
