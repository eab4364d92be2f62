#pragma once
/// allreduce: the sum or mean of tensors over all ranks, through a compressor.

#include <ccomp/collective/gather.hpp>
#include <ccomp/collective/in_flight.hpp>
#include <ccomp/collective/ring.hpp>
#include <ccomp/collective/run.hpp>
#include <ccomp/collective/two_shot.hpp>

CCOMP_BEGIN

struct allreduce_options {
  reduction op = reduction::mean;
  step at{};
  std::uint64_t tensor = 0;  // stable id; a wrapper's own id counts instead
  /// What this rank's values count, at least 0: all ranks give a weight, or none. The sum is that of weight times values;
  /// the mean is that sum over the sum of the weights. The product is rounded to the tensor's type before it is encoded.
  std::optional<float> weight{};
};

/// Linear compressors: in_flight, unless it would round where no residual can keep the error. Stages with their own
/// rounds: those. Stages that code the tensor as a whole (svd): gather. Otherwise gather or two_shot, whichever sends fewer
/// bytes.
struct automatic {
  static constexpr std::string_view name = "automatic";

  template <class Exec, class Comm, class C> static consteval bool fits() { return gather::fits<Exec, Comm, C>(); }

  template <class Engine> collective_report run(Engine& e) const;

 private:
  template <class Engine> static bool flies(Engine const& e) {
    if (!detail::is_linear(e.chain())) return detail::brings_rounds(e.chain());
    return !e.feedback() || !detail::rounds_in_flight(e);
  }
};

namespace detail {

/// `automatic` for chains that are never summed in flight: programs without any other need not compile the rest.
struct fewest_bytes {
  template <class Engine> collective_report run(Engine& e) const;
};
template <class Engine> collective_report fewest_bytes::run(Engine& e) const {
  if (stays_whole(e.chain()) || gather::slot_bytes(e) <= two_shot{}.slot_bytes(e)) return gather{}.run(e);
  return two_shot{}.run(e);
}
template <class Strategy, class C>
using strategy_for =
    std::conditional_t<std::same_as<Strategy, automatic> && !maybe_in_flight<C>, fewest_bytes, Strategy>;
template <class Strategy>
concept never_sums = std::same_as<Strategy, fewest_bytes> || std::same_as<Strategy, gather> ||
                     std::same_as<Strategy, two_shot> || std::same_as<Strategy, ring>;

}  // namespace detail

template <class Engine> collective_report automatic::run(Engine& e) const {
  if constexpr (Engine::may_fly || Engine::may_have_rounds)
    if (flies(e)) return in_flight{}.run(e);
  if constexpr (!Engine::must_fly && !Engine::must_have_rounds) return detail::fewest_bytes{}.run(e);
  detail::fail(detail::sentence("allreduce: this engine has no strategy for ", detail::text(e.chain())));
}

namespace detail {

template <class S, class Exec, class Comm, class C> consteval bool strategy_fits() {
  static_assert(
      strategy<S>,
      "ccomp::allreduce: the last argument is not a strategy; use automatic, gather, two_shot, ring, in_flight, or a "
      "type with a name and run(engine)");
  static_assert(communicator<Comm>, "ccomp: the second argument is not a communicator; it needs rank() and size()");
  if constexpr (strategy<S> && communicator<Comm>) {
    if constexpr (requires { S::template fits<Exec, Comm, C>(); })
      return S::template fits<Exec, Comm, C>();
    else
      return true;
  } else {
    return false;
  }
}

}  // namespace detail

/// Replaces the tensor on every rank by the sum or mean over ranks of the compressed tensors. The tensor is anything
/// that converts to a std::span of float, float16 or bfloat16, or a range of tensor_view. `c` is a compressor, an
/// error_feedback, or an error_feedback_set. With a cuda_exec, tensors and residuals are device memory, and the call is
/// asynchronous on the stream.
///
/// Strategy:    the last argument: automatic{} (default), gather{}, two_shot{}, ring{}, in_flight{}, or your own
/// Rounding:    accumulates in float32, in rank order, and divides once by the number of ranks at the end
/// Determinism: the same bits on every rank; gather and two_shot also for any thread count, instruction set and engine
/// Throws:      rank_mismatch on every rank if the ranks make different calls; communicator_error or timeout if a rank
///              is gone or late; invalid_argument for wrong arguments
template <class Exec, class Comm, class C, class Data, class Strategy = automatic>
collective_report allreduce(Exec const& ex, Comm& comm, C&& c, Data&& data, workspace<Exec>& ws,
                            allreduce_options options = {}, Strategy how = {}) {
  if constexpr (detail::collective_arguments<Exec, C>()) {
    using inner = detail::compressor_type<std::remove_cvref_t<C>>;
    if constexpr (detail::strategy_fits<Strategy, Exec, Comm, inner>()) {
      using chosen = detail::strategy_for<Strategy, inner>;
      return detail::run_collective<!detail::never_sums<chosen>>("allreduce", ex, comm, c, data, ws,
                                                                 {options.at, options.tensor},
                                                                 {options.op, options.weight}, [&](auto& engine) {
                                                                   if constexpr (std::same_as<chosen, Strategy>)
                                                                     return how.run(engine);
                                                                   else
                                                                     return chosen{}.run(engine);
                                                                 });
    }
  }
  return {};
}

CCOMP_END
