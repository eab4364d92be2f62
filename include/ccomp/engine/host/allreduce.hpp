#pragma once
/// allreduce on the host: one body a strategy, for any number of tensors in one exchange.

#include <ccomp/collective/strategy.hpp>
#include <ccomp/engine/host/slots.hpp>

CCOMP_BEGIN
namespace detail {

enum class strategy_kind { automatic, gather, two_shot, in_flight, rounds };

inline std::string_view strategy_name(strategy_kind s) {
  switch (s) {
    case strategy_kind::gather:
      return gather::name;
    case strategy_kind::two_shot:
      return two_shot::name;
    case strategy_kind::in_flight:
      return in_flight::name;
    case strategy_kind::rounds:
      return "rounds";
    default:
      return automatic::name;
  }
}

/// A chain whose last stage brings its own rounds, behind transforms at most.
inline protocol_ops const* protocol_of(program p) {
  if (p.empty() || !p.back().ops->protocol) return nullptr;
  for (auto const& s : p.first(p.size() - 1))
    if (!s.ops->transform) return nullptr;
  return p.back().ops->protocol;
}

inline std::size_t gather_slot(collective_call const& call) {
  std::size_t bytes = sizeof(slot_header);
  for (auto const& j : call.jobs) bytes += capacity(call.stages, j.data.n, j.data.type);
  return bytes;
}
inline std::size_t two_shot_slot(collective_call const& call, int ranks) {
  std::size_t bytes = sizeof(slot_header);
  for (auto const& j : call.jobs)
    bytes += capacity(call.stages, chunking(call.stages, j.data.n, ranks).chunk, j.data.type);
  return bytes;
}

inline strategy_kind resolve_strategy(strategy_kind asked, collective_call const& call, int ranks) {
  bool const in_flight_possible = is_linear(call.stages) || protocol_of(call.stages);
  expects(asked != strategy_kind::in_flight || in_flight_possible, [&] {
    return "allreduce: " + text(call.stages) +
           " cannot be summed in flight, because a stage of its chain is not linear; use gather or automatic";
  });
  if ((asked == strategy_kind::automatic || asked == strategy_kind::in_flight) && in_flight_possible)
    return is_linear(call.stages) ? strategy_kind::in_flight : strategy_kind::rounds;
  if (asked != strategy_kind::automatic) return asked;
  return gather_slot(call) <= 2 * two_shot_slot(call, ranks) ? strategy_kind::gather : strategy_kind::two_shot;
}

/// Common to the bodies below.
struct collective_frame {
  collective_call const& call;
  communicator_ref& comm;
  slot_header header;
  char const* name;
  float divisor;

  collective_frame(collective_call const& c, communicator_ref& m, call_identity const& identity)
      : call(c),
        comm(m),
        header{identity.number(), c.at.number},
        name(identity.name),
        divisor(c.mean ? static_cast<float>(m.size()) : 1.0f) {}
  [[nodiscard]] std::uint32_t rank() const { return static_cast<std::uint32_t>(comm.rank()); }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(comm.size()); }
};

inline collective_report allreduce_gather(collective_frame const& f, workspace<host_exec>& ws) {
  auto const& call = f.call;
  std::size_t const slot = gather_slot(call), scratch_size = collective_scratch(call, f.comm.size());
  auto const memory = ws.reserve(slot * (f.ranks() + 1) + scratch_size);
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * f.ranks());
  scratch const spare(memory.subspan(slot * (f.ranks() + 1)));

  write_header(mine.data(), f.header);
  std::size_t at = sizeof(slot_header), used = 0;
  for (auto const& j : call.jobs) {
    std::size_t const room = capacity(call.stages, j.data.n, j.data.type);
    used +=
        encode(call.stages, call.context(j, f.rank()), j.data, j.data.type, j.residual, mine.subspan(at, room), spare);
    at += room;
  }
  f.comm.all_gather(call.ex, mine, all);
  for (std::size_t r = 0; r < f.ranks(); ++r)
    check_header(all.data() + r * slot, f.header, static_cast<int>(r), f.name);
  at = sizeof(slot_header);
  std::vector<std::byte const*> payloads(f.ranks());
  for (auto const& j : call.jobs) {
    std::size_t const room = capacity(call.stages, j.data.n, j.data.type);
    for (std::size_t r = 0; r < f.ranks(); ++r) payloads[r] = all.data() + r * slot + at;
    sum_decoded(call.stages, call.context(j, f.rank()), payloads, room, j.data.type, j.data, f.divisor, spare);
    at += room;
  }
  return {gather::name, (f.ranks() - 1) * slot, used, ws.size()};
}

inline collective_report allreduce_two_shot(collective_frame const& f, workspace<host_exec>& ws) {
  auto const& call = f.call;
  int const me = f.comm.rank(), ranks = f.comm.size();
  std::size_t const slot = two_shot_slot(call, ranks), all_slots = slot * f.ranks();
  auto const memory = ws.reserve(2 * all_slots + slot + collective_scratch(call, ranks));
  auto const send = memory.first(all_slots), receive = memory.subspan(all_slots, all_slots),
             result = memory.subspan(2 * all_slots, slot);
  scratch const spare(memory.subspan(2 * all_slots + slot));
  std::size_t used = 0;

  for (int to = 0; to < ranks; ++to) {
    auto const out = send.subspan(static_cast<std::size_t>(to) * slot, slot);
    write_header(out.data(), f.header);
    std::size_t at = sizeof(slot_header);
    for (auto const& j : call.jobs) {
      chunking const cut(call.stages, j.data.n, ranks);
      std::size_t const room = capacity(call.stages, cut.chunk, j.data.type), first = cut.first(to);
      used += encode(call.stages, call.context(j, f.rank(), 0, first), part(const_values(j.data), first, cut.size(to)),
                     j.data.type, part(j.residual, first), out.subspan(at, room), spare);
      at += room;
    }
  }
  f.comm.all_to_all(call.ex, send, receive);
  for (std::size_t r = 0; r < f.ranks(); ++r)
    check_header(receive.data() + r * slot, f.header, static_cast<int>(r), f.name);

  write_header(result.data(), f.header);
  std::size_t at = sizeof(slot_header);
  std::vector<std::byte const*> payloads(f.ranks());
  for (auto const& j : call.jobs) {
    chunking const cut(call.stages, j.data.n, ranks);
    std::size_t const room = capacity(call.stages, cut.chunk, j.data.type), first = cut.first(me);
    for (std::size_t r = 0; r < f.ranks(); ++r) payloads[r] = receive.data() + r * slot + at;
    reduce_and_encode(call.stages, call.context(j, f.rank(), 0, first), call.context(j, f.rank(), 1, first), payloads,
                      room, cut.size(me), j.data.type, part(j.residual, first), result.subspan(at, room), spare);
    at += room;
  }
  f.comm.all_gather(call.ex, result, send);
  for (int from = 0; from < ranks; ++from) {
    auto const* const in = send.data() + static_cast<std::size_t>(from) * slot;
    check_header(in, f.header, from, f.name);
    at = sizeof(slot_header);
    for (auto const& j : call.jobs) {
      chunking const cut(call.stages, j.data.n, ranks);
      std::size_t const room = capacity(call.stages, cut.chunk, j.data.type), first = cut.first(from);
      std::byte const* const one[] = {in + at};
      sum_decoded(call.stages, call.context(j, static_cast<std::uint32_t>(from), 1, first), one, room, j.data.type,
                  part(j.data, first, cut.size(from)), f.divisor, spare);
      at += room;
    }
  }
  return {two_shot::name, 2 * (f.ranks() - 1) * slot, used, ws.size()};
}

/// The communicator adds the carriers. float16 carriers are sent divided by a power of two of at least the rank count.
inline collective_report allreduce_in_flight(collective_frame const& f, workspace<host_exec>& ws) {
  auto const& call = f.call;
  std::size_t total = 0;
  for (auto const& j : call.jobs) total += capacity(call.stages, j.data.n, j.data.type);
  auto const memory = ws.reserve(total + collective_scratch(call, f.comm.size()));
  auto const carriers = memory.first(total);
  scratch const spare(memory.subspan(total));
  int log2_ranks = 0;
  while ((std::size_t{1} << log2_ranks) < f.ranks()) ++log2_ranks;
  auto context = [&](tensor_job const& j) {
    auto c = call.context(j, f.rank());
    c.prescale_log2 = -log2_ranks;
    return c;
  };

  std::size_t at = 0;
  for (auto const& j : call.jobs)
    at += encode(call.stages, context(j), j.data, j.data.type, j.residual, carriers.subspan(at), spare);
  // Padding is zero on every rank, so neighbours of one carrier type are summed as one vector.
  for (std::size_t i = 0, begin = 0; i < call.jobs.size();) {
    auto const type_of = [&](std::size_t k) {
      return carrier_of(call.stages, call.jobs[k].data.n, call.jobs[k].data.type).type;
    };
    element_type const type = type_of(i);
    std::size_t end = begin;
    for (; i < call.jobs.size() && type_of(i) == type; ++i)
      end += capacity(call.stages, call.jobs[i].data.n, call.jobs[i].data.type);
    f.comm.all_reduce(call.ex, carriers.data() + begin, (end - begin) / element_bytes(type), wire_type_of(type),
                      wire_op::sum);
    begin = end;
  }
  at = 0;
  for (auto const& j : call.jobs) {
    std::size_t const room = capacity(call.stages, j.data.n, j.data.type);
    std::byte const* const one[] = {carriers.data() + at};
    sum_decoded(call.stages, context(j), one, room, j.data.type, j.data, f.divisor, spare);
    at += room;
  }
  return {in_flight::name, 2 * (f.ranks() - 1) * total / f.ranks(), total, ws.size()};
}

inline collective_report allreduce_rounds(collective_frame const& f, workspace<host_exec>& ws) {
  auto const& call = f.call;
  auto const& ops = *call.stages.back().ops->protocol;
  std::size_t most = 0, sent = 0, payload = 0;
  for (auto const& j : call.jobs)
    most =
        std::max(most, ops.scratch_bytes(call.stages.back().stage, {j.data.n, f.comm.size(), call.stages.size() > 1}));
  auto const memory = ws.reserve(most);
  for (auto const& j : call.jobs) {
    reduce_call const one{.in = j.data,
                          .out = j.data,
                          .transforms = call.stages.first(call.stages.size() - 1),
                          .residual = j.residual.data,
                          .residual_type = j.residual.type,
                          .decay = j.residual.decay,
                          .state = j.state,
                          .mean = call.mean,
                          .memory = memory,
                          .at = {call.at, j.id, f.rank()}};
    sent += ops.reduce(call.stages.back().stage, call.ex, f.comm, one);
    payload += capacity(call.stages, j.data.n, j.data.type);
  }
  return {"rounds", sent, payload, ws.size()};
}

inline collective_report allreduce(collective_call const& call, communicator_ref& comm, workspace<host_exec>& ws,
                                   strategy_kind asked) {
  validate(call.stages);
  strategy_kind const strategy = resolve_strategy(asked, call, comm.size());
  call_identity const identity{"allreduce", strategy_name(strategy), &call, comm.size()};
  collective_frame const f(call, comm, identity);
  comm.agree(f.header.fingerprint, &identity, &call_identity::describe);
  mark_in_use(call);
  switch (strategy) {
    case strategy_kind::gather:
      return allreduce_gather(f, ws);
    case strategy_kind::two_shot:
      return allreduce_two_shot(f, ws);
    case strategy_kind::in_flight:
      return allreduce_in_flight(f, ws);
    default:
      return allreduce_rounds(f, ws);
  }
}

}  // namespace detail
CCOMP_END
