#pragma once
/// The strategies of allreduce, written once for any engine and any number of tensors in one exchange.
///
/// An engine runs passes and moves bytes for one call: host_engine at once, the CUDA engine on a stream. It offers
/// begin (agree with the other ranks, then mark residuals as in use; what a rank can find wrong by itself is found
/// before), encode, sum, decode and reduce of jobs, the
/// scratch each of them takes, headers of slots, the communicator's primitives, and `rounds` for stages that bring
/// their own.

#include <algorithm>
#include <bit>
#include <ccomp/collective/slots.hpp>
#include <ccomp/collective/strategy.hpp>
#include <ccomp/comm/communicator.hpp>

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
/// A slot of two_shot: `coded` is the call's chain, or the one that encodes sums.
inline std::size_t two_shot_slot(collective_call const& call, program coded, std::size_t ranks) {
  std::size_t bytes = sizeof(slot_header);
  for (auto const& j : call.jobs) bytes += capacity(coded, chunks_for(call.stages, j.data.n, ranks).size, j.data.type);
  return bytes;
}
/// How many payloads' values the chain that encodes sums has room for.
inline std::size_t payloads_of_sums(collective_call const& call, std::size_t ranks) {
  return call.reselect ? 1 : ranks;
}

/// The least power of two that is not below x, as its exponent.
inline int log2_ceil(std::size_t x) { return static_cast<int>(std::bit_width(x - 1)); }

/// Summed in flight, carriers of 16 bits are rounded where no rank can keep the error: feedback would stall there.
inline bool rounds_in_flight(collective_call const& call) {
  return std::ranges::any_of(call.jobs, [&](tensor_job const& j) {
    return carrier_of(call.stages, j.data.n, j.data.type).type != element_type::float32;
  });
}

inline strategy_kind resolve_strategy(strategy_kind asked, collective_call const& call, std::size_t ranks) {
  bool const in_flight_possible = is_linear(call.stages) || protocol_of(call.stages);
  expects(asked != strategy_kind::in_flight || in_flight_possible, [&] {
    return "allreduce: " + text(call.stages) +
           " cannot be summed in flight, because a stage of its chain is not linear; use gather or automatic";
  });
  if (asked == strategy_kind::in_flight || (asked == strategy_kind::automatic && in_flight_possible)) {
    if (!is_linear(call.stages)) return strategy_kind::rounds;
    if (asked == strategy_kind::in_flight || !call.feedback || !rounds_in_flight(call)) return strategy_kind::in_flight;
  }
  if (asked != strategy_kind::automatic) return asked;
  sum_program const sums(call.stages, payloads_of_sums(call, ranks));
  std::size_t const halves = two_shot_slot(call, call.stages, ranks) + two_shot_slot(call, sums, ranks);
  return gather_slot(call) <= halves ? strategy_kind::gather : strategy_kind::two_shot;
}

template <class Engine>
collective_report allreduce_gather(Engine& e, collective_call const& call, call_identity const& who,
                                   workspace<typename Engine::exec>& ws) {
  std::size_t const ranks = e.ranks(), slot = gather_slot(call);
  std::size_t most = 0;
  for (auto const& j : call.jobs)
    most = std::max({most, e.encode_scratch(j, whole(j.data.n)), e.sum_scratch(j, j.data.n, ranks)});
  auto const memory = ws.reserve(slot * (ranks + 1) + most, who.name);
  e.begin(who);
  auto const mine = memory.first(slot), all = memory.subspan(slot, slot * ranks);
  scratch const spare(memory.subspan(slot * (ranks + 1)));
  slot_row const sent{mine.data(), slot, 1}, received{all.data(), slot, ranks};

  e.write_headers(sent);
  std::size_t at = sizeof(slot_header), used = 0;
  for (auto const& j : call.jobs) {
    used += e.encode(j, whole(j.data.n), sent.part(at), spare);
    at += capacity(call.stages, j.data.n, j.data.type);
  }
  e.all_gather(mine, all);
  e.check_headers(received);
  at = sizeof(slot_header);
  for (auto const& j : call.jobs) {
    std::size_t const room = capacity(call.stages, j.data.n, j.data.type);
    e.sum(j, j.data, 0, received.part(at), room, spare);
    at += room;
  }
  return {gather::name, (ranks - 1) * slot, used, ws.size()};
}

template <class Engine>
collective_report allreduce_two_shot(Engine& e, collective_call const& call, call_identity const& who,
                                     workspace<typename Engine::exec>& ws) {
  std::size_t const ranks = e.ranks(), me = e.rank();
  sum_program const sums(call.stages, payloads_of_sums(call, ranks));
  std::size_t const slot = two_shot_slot(call, call.stages, ranks), sum_slot = two_shot_slot(call, sums, ranks);
  std::size_t most = 0;
  for (auto const& j : call.jobs) {
    pieces const cut = chunks_for(call.stages, j.data.n, ranks);
    // A short last chunk may take more than a whole one: its indices may be coded another way.
    most = std::max({most, e.encode_scratch(j, cut), e.reduce_scratch(j, sums, cut.size, ranks),
                     e.reduce_scratch(j, sums, cut.length(me), ranks), e.decode_scratch(j, sums, cut)});
  }
  // What is sent, the owner's sum, and what is received: first the chunks, then the sums.
  std::size_t const chunks = slot * ranks, all_sums = sum_slot * ranks;
  auto const memory = ws.reserve(chunks + sum_slot + std::max(chunks, all_sums) + most, who.name);
  e.begin(who);
  auto const send = memory.first(chunks), result = memory.subspan(chunks, sum_slot),
             receive = memory.subspan(chunks + sum_slot, std::max(chunks, all_sums));
  scratch const spare(memory.subspan(chunks + sum_slot + receive.size()));
  slot_row const sent{send.data(), slot, ranks}, received{receive.data(), slot, ranks},
      owned{result.data(), sum_slot, 1}, all{receive.data(), sum_slot, ranks};
  struct part {  // of a slot: what it holds of one job
    std::size_t at = sizeof(slot_header), room = 0;
  };
  auto const each_job = [&](auto const& f) {
    part chunk, sum;
    for (auto const& j : call.jobs) {
      pieces const cut = chunks_for(call.stages, j.data.n, ranks);
      chunk.room = capacity(call.stages, cut.size, j.data.type);
      sum.room = capacity(sums, cut.size, j.data.type);
      f(j, cut, chunk, sum);
      chunk.at += chunk.room;
      sum.at += sum.room;
    }
  };

  std::size_t used = 0;
  e.write_headers({send.data(), slot, ranks + 1});  // the result's, too: on a GPU every kernel more costs latency
  each_job([&](tensor_job const& j, pieces const& cut, part const& chunk, part const&) {
    used += e.encode(j, cut, sent.part(chunk.at), spare);
  });
  e.all_to_all(send, receive.first(chunks));
  e.check_headers(received);
  e.prescale(-log2_ceil(ranks));  // of the sums: numbers of a float16 carrier may add up to more than it holds
  each_job([&](tensor_job const& j, pieces const& cut, part const& chunk, part const& sum) {
    e.reduce(j, sums, cut, me, received.part(chunk.at), chunk.room, owned.part(sum.at), spare);
  });
  e.all_gather(result, receive.first(all_sums));
  e.check_headers(all);
  each_job([&](tensor_job const& j, pieces const& cut, part const&, part const& sum) {
    e.decode(j, sums, j.data, cut, all.part(sum.at), sum.room, spare);
  });
  return {two_shot::name, (ranks - 1) * (slot + sum_slot), used, ws.size()};
}

/// Whether ranks at different steps would add what does not belong together: places and signs are drawn by step.
inline bool step_matters(program p) {
  return std::ranges::any_of(p, [](stage_ref const& s) { return !s.ops->cast && !s.ops->quantizer; });
}

/// The communicator adds the carriers. float16 carriers are sent divided by a power of two of at least the rank count.
template <class Engine>
collective_report allreduce_in_flight(Engine& e, collective_call const& call, call_identity const& who,
                                      workspace<typename Engine::exec>& ws) {
  std::size_t total = 0, most = 0;
  for (auto const& j : call.jobs) {
    total += capacity(call.stages, j.data.n, j.data.type);
    most = std::max({most, e.encode_scratch(j, whole(j.data.n)), e.sum_scratch(j, j.data.n, 1)});
  }
  std::size_t const headers = step_matters(call.stages) ? e.step_bytes() : 0;
  auto const memory = ws.reserve(headers + total + most, who.name);
  e.begin(who);
  e.compare_steps(memory.first(headers));
  auto const carriers = memory.subspan(headers, total);
  scratch const spare(memory.subspan(headers + total));
  e.prescale(-log2_ceil(e.ranks()));

  std::size_t at = 0;
  for (auto const& j : call.jobs) at += e.encode(j, whole(j.data.n), {carriers.data() + at, total}, spare);
  // Padding is zero on every rank, so neighbours of one carrier type are summed as one vector.
  for (std::size_t i = 0, begin = 0; i < call.jobs.size();) {
    auto const type_of = [&](std::size_t k) {
      return carrier_of(call.stages, call.jobs[k].data.n, call.jobs[k].data.type).type;
    };
    element_type const type = type_of(i);
    std::size_t end = begin;
    for (; i < call.jobs.size() && type_of(i) == type; ++i)
      end += capacity(call.stages, call.jobs[i].data.n, call.jobs[i].data.type);
    e.all_reduce(carriers.data() + begin, (end - begin) / element_bytes(type), wire_type_of(type), wire_op::sum);
    begin = end;
  }
  at = 0;
  for (auto const& j : call.jobs) {
    std::size_t const room = capacity(call.stages, j.data.n, j.data.type);
    e.sum(j, j.data, 0, {carriers.data() + at, total, 1}, room, spare);
    at += room;
  }
  return {in_flight::name, all_reduce_bytes(total, static_cast<int>(e.ranks())), total, ws.size()};
}

/// `Asked`: what the type of the call says, so that an engine whose passes are compiled for it need not have the others.
template <strategy_kind Asked, class Engine>
collective_report allreduce(Engine& e, collective_call const& call, workspace<typename Engine::exec>& ws) {
  constexpr bool any = Asked == strategy_kind::automatic;
  strategy_kind const strategy = resolve_strategy(Asked, call, e.ranks());
  call_identity const who{"allreduce", strategy_name(strategy), &call, static_cast<int>(e.ranks())};
  if constexpr ((any || Asked == strategy_kind::in_flight) && Engine::may_have_rounds)
    if (strategy == strategy_kind::rounds) return e.rounds(call, who, ws);
  if constexpr ((any || Asked == strategy_kind::in_flight) && Engine::may_fly)
    if (strategy == strategy_kind::in_flight) return allreduce_in_flight(e, call, who, ws);
  if constexpr ((any && !Engine::must_have_rounds && !Engine::must_fly) || Asked == strategy_kind::gather)
    if (strategy == strategy_kind::gather) return allreduce_gather(e, call, who, ws);
  if constexpr ((any && !Engine::must_have_rounds && !Engine::must_fly) || Asked == strategy_kind::two_shot)
    if (strategy == strategy_kind::two_shot) return allreduce_two_shot(e, call, who, ws);
  fail("allreduce: this engine has no " + std::string(strategy_name(strategy)) + " for " + text(call.stages));
}

}  // namespace detail
CCOMP_END
