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
    // The sum cuts carriers into a part for each rank.
    auto const slices =
        slices_of(e, detail::times(e.slice_bytes(), e.ranks()), [&](auto const& j) { return e.whole(j); });
    auto const payload = [&](slice_part const& p) { return e.payload_bytes(*p.job, p.cut.length(0)); };
    auto const type_of = [&](slice_part const& p) {
      return detail::carrier_of(e.chain(), p.cut.length(0), p.job->data.type).type;
    };
    auto const carriers_of = [&](call_slice const& slice) {
      std::size_t bytes = 0;
      for (auto const& p : slice) bytes += payload(p);
      return bytes;
    };
    std::size_t const most = detail::most_of(slices, [&](slice_part const& p) {
      return std::max(e.encode_scratch(*p.job, p.cut), e.sum_scratch(*p.job, p.cut.length(0), 1));
    });
    std::size_t lane = 0, total = 0;
    for (auto const& slice : slices) {
      lane = std::max(lane, carriers_of(slice));
      total += carriers_of(slice);
    }
    std::size_t const headers = detail::step_matters(e.chain()) ? e.step_bytes() : 0,
                      lanes = detail::lanes_for(slices.size());
    auto const memory = e.reserve(headers + lanes * lane + most);
    auto const spare = memory.subspan(headers + lanes * lane);
    e.begin(name);
    e.compare_steps(memory.first(headers));
    e.prescale(-detail::log2_ceil(e.ranks()));

    std::vector<std::size_t> summed(lanes);  // parts of the lane's slice whose sum has begun
    in_lanes(e, slices.size(), lanes,
             [&](std::size_t number, std::size_t mine, int step) -> std::optional<exchange_handle> {
               auto const& slice = slices[number];
               auto const carriers = memory.subspan(headers + mine * lane, lane);
               std::size_t at = 0;
               if (step == 0) {
                 for (auto const& p : slice) at += e.encode(*p.job, p.cut, {carriers.data() + at, lane}, spare);
                 summed[mine] = 0;
               }
               if (std::size_t i = summed[mine]; i < slice.size()) {
                 // Padding is zero on every rank, so neighbours of one carrier type are summed as one vector.
                 element_type const type = type_of(slice[i]);
                 std::size_t begin = 0, end = 0;
                 for (std::size_t before = 0; before < i; ++before) begin += payload(slice[before]);
                 for (end = begin; i < slice.size() && type_of(slice[i]) == type; ++i) end += payload(slice[i]);
                 summed[mine] = i;
                 return e.start_all_reduce(carriers.data() + begin, (end - begin) / element_bytes(type),
                                           wire_type_of(type), wire_op::sum, static_cast<int>(number));
               }
               at = 0;
               for (auto const& p : slice) {
                 e.sum(*p.job, detail::part(p.job->data, p.cut.first(0), p.cut.length(0)), p.cut.counted_from(0),
                       {carriers.data() + at, lane, 1}, payload(p), spare);
                 at += payload(p);
               }
               return std::nullopt;
             });
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
