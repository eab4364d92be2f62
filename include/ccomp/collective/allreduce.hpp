#pragma once
/// Sums (or averages) tensors over all ranks through a compressor.

#include <ccomp/collective/bodies.hpp>
#include <ccomp/engine/host/collectives.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/exec/loading.hpp>
#include <ccomp/workspace.hpp>
#include <ranges>

CCOMP_BEGIN

struct allreduce_options {
  reduction op = reduction::mean;
  step at{};
  std::uint64_t tensor = 0;  // stable id; a wrapper's own id counts instead
};

namespace detail {

template <class S> constexpr strategy_kind kind_of_strategy() {
  if constexpr (std::same_as<S, gather>) return strategy_kind::gather;
  if constexpr (std::same_as<S, two_shot>) return strategy_kind::two_shot;
  if constexpr (std::same_as<S, in_flight>) return strategy_kind::in_flight;
  return strategy_kind::automatic;
}
template <class S>
concept allreduce_strategy =
    std::same_as<S, automatic> || std::same_as<S, gather> || std::same_as<S, two_shot> || std::same_as<S, in_flight>;

/// Known only when it runs whether a chain of this type is linear.
template <class C>
concept run_time_chain = requires(C const& c) {
  { c.stages() } -> std::convertible_to<program>;
};
template <class C>
concept has_rounds = has_reduce<typename last_stage<C>::type>;
template <class C>
concept maybe_in_flight = run_time_chain<C> || linear<C> || has_rounds<C>;

/// A range of tensor_view rather than one tensor.
template <class Data>
concept many_tensors = requires(Data const& d) {
  { *std::ranges::begin(d) } -> std::convertible_to<tensor_view const&>;
};

/// Jobs of a call, from a compressor or either wrapper, for one tensor or several; `finish` tells wrappers that all
/// went well.
template <class X> class job_list {
  using traits = feedback_traits<X>;

 public:
  template <class Data> job_list(X& x, Data& data, std::uint64_t tensor) : wrapper_(x) {
    std::vector<tensor_view> tensors;
    if constexpr (many_tensors<Data>) {
      for (tensor_view const& t : data) tensors.push_back(t);
      expect_distinct(tensors);
    } else {
      tensors.emplace_back(data, tensor);
    }
    if constexpr (traits::set) {
      jobs_ = wrapper_.begin(tensors);
    } else if constexpr (traits::wrapper) {
      expects(tensors.size() == 1,
              "error_feedback: one wrapper keeps the residual of one tensor; use error_feedback_set for several");
      jobs_.push_back(wrapper_.begin(tensors[0].data));
    } else {
      for (auto const& t : tensors) jobs_.push_back({.data = t.data, .id = t.id});
    }
  }
  [[nodiscard]] std::span<tensor_job const> jobs() const { return jobs_; }

  /// The step of the call. Random bits must not repeat unnoticed: wrappers count by themselves where none is given, and
  /// refuse one that is not new; without a wrapper one must be given.
  template <class Exec> [[nodiscard]] step step_of(char const* name, Exec const& ex, program stages, step asked) const {
    if constexpr (traits::wrapper) {
      if (!wrapper_.draws()) return asked;
      if (asked.given) {
        wrapper_.expect_new(asked);
        return asked;
      }
      if constexpr (requires { ex.capturing(); })
        expects(!ex.capturing(), [&] {
          return std::string(name) +
                 ": the stream records a graph whose replays would repeat the random bits of one step; pass "
                 "{.at = ccomp::step::from_device(counter)}";
        });
      return wrapper_.next_step();
    } else {
      expect_step(name, stages, asked);
      return asked;
    }
  }
  void finish(step at) {
    if constexpr (traits::wrapper) wrapper_.finish(at);
  }

 private:
  static void expect_distinct(std::vector<tensor_view> const& tensors) {
    std::vector<std::uint64_t> ids;
    for (auto const& t : tensors) ids.push_back(t.id);
    std::ranges::sort(ids);
    auto const twice = std::ranges::adjacent_find(ids);
    expects(twice == ids.end(), [&] { return "two tensors of one call have the id " + std::to_string(*twice); });
  }

  X& wrapper_;
  std::vector<tensor_job> jobs_;
};

/// `C` is what a collective was given as its compressor, as a forwarding reference deduces it: a wrapper whose residual
/// may change and lives on after the call, or no wrapper.
template <class C> constexpr bool keeps_residual() {
  using traits = feedback_traits<std::remove_cvref_t<C>>;
  return !traits::wrapper || (std::is_lvalue_reference_v<C> && !std::is_const_v<std::remove_reference_t<C>>);
}

template <class X> auto const& compressor_of(X const& x) {
  if constexpr (feedback_traits<X>::wrapper)
    return x.inner();
  else
    return x;
}

/// The use of an object that says who uses it; compressors, and communicators that do not, may be shared.
template <class X> auto use_of(X& x, char const* call, char const* what) {
  if constexpr (requires { x.usage(); })
    return exclusive_use(x.usage(), call, what);
  else
    return 0;
}

/// Checks the compressor, makes the jobs and the engine of a call, and runs `body(engine, call)`.
template <class Exec, class Comm, class C, class Data, class Body>
collective_report run_collective(char const* name, Exec const& ex, Comm& comm, C& c, Data& data, workspace<Exec>& ws,
                                 allreduce_options const& options, Body const& body, bool reselect = false) {
  using traits = feedback_traits<std::remove_cv_t<C>>;
  exclusive_use const own_memory(ws.usage(), name, "workspace");
  [[maybe_unused]] auto const own_ranks = use_of(comm, name, "communicator");
  [[maybe_unused]] auto const own_residual = use_of(c, name, traits::set ? "error_feedback_set" : "error_feedback");
  auto const stages = stages_of(compressor_of(c));
  validate(stages);
  constexpr bool feedback = traits::wrapper;
  job_list<C> jobs(c, data, options.tensor);
  step const at = jobs.step_of(name, ex, stages, options.at);
  collective_call const call{stages, jobs.jobs(), options.op == reduction::mean, at, feedback, reselect};
  auto engine = collective_engine<Exec>::template make<feedback>(ex, comm, compressor_of(c), call, name, ws);
  auto report = body(engine, call);
  if (!loading_kernels()) jobs.finish(at);
  report.overflowed = engine.overflowed();
  report.feedback = feedback;
  return report;
}

}  // namespace detail

/// Replaces the tensor (anything that makes a std::span of float, float16 or bfloat16, or a range of tensor_view) on
/// every rank by the sum or mean over ranks of what compression lets through. `c` is a compressor, an error_feedback,
/// or an error_feedback_set. With a cuda_exec all of it is device memory, and the call is asynchronous on the stream.
///
/// Strategy:    a trailing value: automatic{} (default), gather{}, two_shot{}, in_flight{}
/// Rounding:    fp32 accumulation in rank order, one division by the number of ranks at the end
/// Determinism: the same bits on every rank; gather and two_shot also for any thread count, instruction set and engine
/// Throws:      rank_mismatch on every rank if they disagree about the call; communicator_error or timeout if a rank is
///              gone or late; invalid_argument for unusable arguments
template <class Exec, class Comm, class C, class Data, class Strategy = automatic>
collective_report allreduce(Exec const& ex, Comm& comm, C&& c, Data&& data, workspace<Exec>& ws,
                            allreduce_options options = {}, Strategy strategy = {}) {
  using inner = typename detail::feedback_traits<std::remove_cvref_t<C>>::compressor_type;
  constexpr bool compressor_ok = compressor<inner>;
  constexpr bool strategy_ok = detail::allreduce_strategy<Strategy>;
  constexpr bool flies = detail::maybe_in_flight<inner>;
  constexpr bool in_flight_ok = !std::same_as<Strategy, in_flight> || flies;
  constexpr bool residual_ok = detail::keeps_residual<C>();
  constexpr bool exec_ok = detail::has_collectives<Exec>;
  constexpr bool comm_ok = communicator<Comm>;
  constexpr bool gather_ok = std::same_as<Strategy, in_flight> || can_all_gather<Comm, Exec>;
  constexpr bool two_shot_ok = !std::same_as<Strategy, two_shot> || can_all_to_all<Comm, Exec>;
  constexpr bool sum_ok = !std::same_as<Strategy, in_flight> || can_all_reduce<Comm, Exec>;
  static_assert(exec_ok,
                "ccomp::allreduce: no engine for this execution; a cuda_exec needs <ccomp/ccomp.hpp> compiled by nvcc");
  static_assert(
      compressor_ok,
      "ccomp::allreduce: the third argument is not a compressor; ccomp::check_stage<Stage>() names what a stage lacks");
  static_assert(strategy_ok,
                "ccomp::allreduce: the last argument is not a strategy; use automatic, gather, two_shot or in_flight");
  static_assert(in_flight_ok,
                "ccomp::allreduce: this compressor cannot be summed in flight, because a stage of its chain is not "
                "linear; use gather or automatic");
  static_assert(comm_ok, "ccomp::allreduce: the second argument is not a communicator; it needs rank() and size()");
  static_assert(
      gather_ok,
      "ccomp::allreduce: the communicator has no all_gather(exec, span<byte const>, span<byte>) for this execution");
  static_assert(
      two_shot_ok,
      "ccomp::allreduce: the communicator has no all_to_all(exec, span<byte const>, span<byte>) for this execution");
  static_assert(
      sum_ok,
      "ccomp::allreduce: the communicator has no all_reduce(exec, void*, n, wire_type, wire_op) for this execution");
  static_assert(
      residual_ok,
      "ccomp::allreduce: the error_feedback is const or a temporary, so that its residual would be lost; pass a "
      "variable that is not const");
  if constexpr (residual_ok && exec_ok && compressor_ok && strategy_ok && in_flight_ok && comm_ok && gather_ok &&
                two_shot_ok && sum_ok) {
    bool reselect = false;
    if constexpr (std::same_as<Strategy, two_shot>) reselect = strategy.reselect;
    return detail::run_collective(
        "allreduce", ex, comm, c, data, ws, options,
        [&](auto& engine, auto const& call) {
          return detail::allreduce<detail::kind_of_strategy<Strategy>()>(engine, call, ws);
        },
        reselect);
  } else {
    return {};
  }
}

CCOMP_END
