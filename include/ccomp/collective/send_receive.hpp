#pragma once
/// send and receive: a tensor from one rank to another, compressed on the way (between the stages of a pipeline).

#include <ccomp/collective/run.hpp>

CCOMP_BEGIN
namespace detail {

template <class Engine> void expect_other_rank(Engine const& e, char const* call, int with) {
  expects(with >= 0 && static_cast<std::size_t>(with) < e.ranks(),
          [&] { return sentence(call, ": rank ", with, " of a group of ", e.ranks()); });
  expects(static_cast<std::size_t>(with) != e.rank(),
          [&] { return sentence(call, ": rank ", with, " is this rank itself"); });
}

template <class Engine> collective_report send(Engine& e, int to) {
  auto const& job = e.jobs()[0];
  expect_other_rank(e, "send", to);
  tensor_cut const whole = e.whole(job);
  std::size_t const slot = Engine::header_bytes + e.payload_bytes(job, job.data.n);
  auto const memory = e.reserve(slot + e.encode_scratch(job, whole));
  e.begin_between(static_cast<int>(e.rank()), to);
  slot_row const one{memory.data(), slot, 1};
  e.write_headers(one);
  std::size_t const used = e.encode(job, whole, one.part(Engine::header_bytes), memory.subspan(slot));
  e.seal(one);
  outgoing_message const out{to, memory.first(slot)};
  e.transfer({&out, 1}, {});
  return e.report("transfer", slot, used);
}

template <class Engine> collective_report receive(Engine& e, int from) {
  auto const& job = e.jobs()[0];
  expect_other_rank(e, "receive", from);
  tensor_cut const whole = e.whole(job);
  std::size_t const room = e.payload_bytes(job, job.data.n), slot = Engine::header_bytes + room;
  auto const memory = e.reserve(slot + e.decode_scratch(job, e.chain(), whole));
  e.begin_between(from, static_cast<int>(e.rank()));
  slot_row const one{memory.data(), slot, 1};
  incoming_message const in{from, memory.first(slot)};
  e.transfer({}, {&in, 1});
  e.check_headers(one, static_cast<std::size_t>(from));
  e.decode(job, e.chain(), job.data, whole, one.part(Engine::header_bytes), room, memory.subspan(slot));
  return e.report("transfer", 0, 0);
}

}  // namespace detail

/// Sends the tensor to rank `to`, which calls receive() with the same compressor, size, step and tensor id. No other rank
/// takes part, so ranks cannot compare the call beforehand: the receiver finds by the header what does not fit. `c`: a
/// compressor or an error_feedback. On the host it may return only once the receiver has come.
template <class Exec, class Comm, class C, class Data>
collective_report send(Exec const& ex, Comm& comm, C&& c, Data const& data, int to, workspace<Exec>& ws,
                       collective_options options = {}) {
  static_assert(
      can_transfer<Comm, Exec>,
      "ccomp::send: the communicator has no transfer(exec, span<outgoing_message const>, span<incoming_message "
      "const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const in = detail::input_span(data);
    using T = std::remove_cv_t<typename decltype(in)::element_type>;
    std::span<T> input(const_cast<T*>(in.data()), in.size());  // only read
    return detail::run_collective</*MaySum=*/false>("send", ex, comm, c, input, ws, options, {.keeps_input = true},
                                                    [&](auto& engine) { return detail::send(engine, to); });
  } else {
    return {};
  }
}

/// Replaces the tensor by the decoded payload of what rank `from` sends to this one. `c`: the sender's compressor, or an
/// error_feedback, whose residual does not change. Throws rank_mismatch, and writes nothing, if that rank sent another call.
template <class Exec, class Comm, class C, class Data>
collective_report receive(Exec const& ex, Comm& comm, C&& c, Data&& data, int from, workspace<Exec>& ws,
                          collective_options options = {}) {
  static_assert(
      can_transfer<Comm, Exec>,
      "ccomp::receive: the communicator has no transfer(exec, span<outgoing_message const>, span<incoming_message "
      "const>) for this execution");
  if constexpr (detail::collective_arguments<Exec, C>() && can_transfer<Comm, Exec>) {
    auto const out = detail::output_span(data);
    auto report = detail::run_collective</*MaySum=*/false>("receive", ex, comm, c, out, ws, options, {},
                                                           [&](auto& engine) { return detail::receive(engine, from); });
    report.feedback = false;
    return report;
  } else {
    return {};
  }
}

CCOMP_END
