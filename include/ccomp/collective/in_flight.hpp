#pragma once

#include <ccomp/collective/two_shot.hpp>
#include <ccomp/core/chain.hpp>

#include <algorithm>

CCOMP_BEGIN
namespace detail {

/// A chain whose last stage has its own rounds, alone or after transforms.
inline bool brings_rounds(program p) {
  if (p.empty() || !p.back().facts->rounds) return false;
  return std::ranges::all_of(p.first(p.size() - 1), [](stage_ref const& s) { return s.facts->transform != nullptr; });
}
template <class C>
concept has_rounds = has_reduce<typename last_stage<C>::type>;
template <class C>
concept maybe_in_flight = run_time_chain<C> || linear<C> || has_rounds<C>;

/// Whether ranks at different steps would add values of different places: places and signs are drawn by step.
inline bool step_matters(program p) {
  return std::ranges::any_of(p, [](stage_ref const& s) { return !s.facts->cast && !s.facts->quantizer; });
}
/// If carriers of 16 bits are summed in flight, no rank can keep the rounding error of the sum: error feedback would
/// not converge further.
template <class Engine> bool rounds_in_flight(Engine const& e) {
  return std::ranges::any_of(e.jobs(), [&](auto const& j) {
    return carrier_of(e.chain(), j.data.n, j.data.type).type != element_type::float32;
  });
}

}  // namespace detail

/// The communicator adds the carriers, for linear compressors. Stages that have their own rounds (power_sgd,
/// shared_scale_quantize) run those.
///
/// Bytes:    those of the communicator's allreduce of the carriers
/// Rounding: the compressor rounds once, and the communicator's sum rounds as it does. float16 carriers are divided by
///           a power of two, at least the number of ranks, before they are sent
/// Needs:    all_reduce
struct in_flight {
  static constexpr std::string_view name = "in_flight";

  template <class Exec, class Comm, class C> static consteval bool fits() {
    constexpr bool flies = detail::maybe_in_flight<C>;
    static_assert(flies,
                  "ccomp: this compressor cannot be summed in flight, because a stage of its chain is not linear; use "
                  "gather or automatic");
    static_assert(can_all_reduce<Comm, Exec>,
                  "ccomp: in_flight needs a communicator with all_reduce(exec, void*, n, wire_type, wire_op)");
    return flies && can_all_reduce<Comm, Exec>;
  }

  template <class Engine> collective_report run(Engine& e) const;

 private:
  template <class Engine> static collective_report run_linear(Engine& e) {
    auto const jobs = e.jobs();
    std::size_t total = 0, most = 0;
    for (auto const& j : jobs) {
      total += e.payload_bytes(j, j.data.n);
      most = std::max({most, e.encode_scratch(j, e.whole(j)), e.sum_scratch(j, j.data.n, 1)});
    }
    std::size_t const headers = detail::step_matters(e.chain()) ? e.step_bytes() : 0;
    auto const memory = e.reserve(headers + total + most);
    e.begin(name);
    e.compare_steps(memory.first(headers));
    auto const carriers = memory.subspan(headers, total), spare = memory.subspan(headers + total);
    e.prescale(-detail::log2_ceil(e.ranks()));

    std::size_t at = 0;
    for (auto const& j : jobs) at += e.encode(j, e.whole(j), {carriers.data() + at, total}, spare);
    // Padding is zero on every rank, so neighbours of one carrier type are summed as one vector.
    for (std::size_t i = 0, begin = 0; i < jobs.size();) {
      auto const type_of = [&](std::size_t job) {
        return detail::carrier_of(e.chain(), jobs[job].data.n, jobs[job].data.type).type;
      };
      element_type const type = type_of(i);
      std::size_t end = begin;
      for (; i < jobs.size() && type_of(i) == type; ++i) end += e.payload_bytes(jobs[i], jobs[i].data.n);
      e.all_reduce(carriers.data() + begin, (end - begin) / element_bytes(type), wire_type_of(type), wire_op::sum);
      begin = end;
    }
    at = 0;
    for (auto const& j : jobs) {
      std::size_t const room = e.payload_bytes(j, j.data.n);
      e.sum(j, j.data, 0, {carriers.data() + at, total, 1}, room, spare);
      at += room;
    }
    return e.report(name, detail::all_reduce_bytes(total, static_cast<int>(e.ranks())), total);
  }
};

template <class Engine> collective_report in_flight::run(Engine& e) const {
  if constexpr (Engine::may_have_rounds)
    if (!detail::is_linear(e.chain()) && detail::brings_rounds(e.chain())) return e.rounds();
  if constexpr (Engine::may_fly)
    if (detail::is_linear(e.chain())) return run_linear(e);
  detail::fail(detail::sentence(
      "allreduce: ", detail::text(e.chain()),
      " cannot be summed in flight, because a stage of its chain is not linear; use gather or automatic"));
}

CCOMP_END
