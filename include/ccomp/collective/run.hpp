#pragma once
/// The way from the arguments of a collective to its body: common checks, the jobs, the engine.

#include <ccomp/collective/engine.hpp>
#include <ccomp/core/chain.hpp>
#include <ccomp/core/exclusive.hpp>

#include <cmath>
#include <optional>
#include <ranges>
#include <vector>

CCOMP_BEGIN

struct collective_options {
  step at{};
  std::uint64_t tensor = 0;  // stable id; a wrapper's own id counts instead
};

namespace detail {

/// A compile error of one sentence if an argument does not fit. `X` is the compressor as a forwarding reference deduces
/// it.
template <class Exec, class X> consteval bool collective_arguments() {
  constexpr bool exec_ok = has_engine<Exec>, compressor_ok = compressor<compressor_type<std::remove_cvref_t<X>>>,
                 residual_ok = keeps_residual<X>();
  static_assert(exec_ok,
                "ccomp: there is no engine of collectives for this execution; include <ccomp/ccomp.hpp>, and for a "
                "cuda_exec compile with nvcc");
  static_assert(compressor_ok,
                "ccomp: the third argument of this collective is not a compressor; ccomp::check_stage<Stage>() names "
                "what a stage lacks");
  static_assert(
      residual_ok,
      "ccomp: the error_feedback is const or a temporary, so that its residual would be lost; pass a variable "
      "that is not const");
  return exec_ok && compressor_ok && residual_ok;
}

/// A range of tensor_view rather than one tensor.
template <class Data>
concept many_tensors = requires(Data const& d) {
  { *std::ranges::begin(d) } -> std::convertible_to<tensor_view const&>;
};
template <class Data> std::vector<tensor_view> tensors_of(Data& data, std::uint64_t id) {
  std::vector<tensor_view> tensors;
  if constexpr (many_tensors<Data>) {
    for (tensor_view const& t : data) tensors.push_back(t);
    std::vector<std::uint64_t> ids;
    ids.reserve(tensors.size());
    for (auto const& t : tensors) ids.push_back(t.id);
    std::ranges::sort(ids);
    auto const twice = std::ranges::adjacent_find(ids);
    expects(twice == ids.end(), [&] { return sentence("two tensors of one call have the id ", *twice); });
  } else {
    tensors.emplace_back(data, id);
  }
  return tensors;
}

template <class X> std::vector<tensor_job> jobs_of(X& x, std::span<tensor_view const> tensors) {
  if constexpr (feedback_wrapper<X>) {
    expects(X::keeps_several || tensors.size() == 1,
            "error_feedback: one wrapper keeps the residual of one tensor; use error_feedback_set for several");
    return x.jobs(tensors);
  } else {
    std::vector<tensor_job> jobs;
    for (auto const& t : tensors) jobs.push_back({.data = t.data, .id = t.id});
    return jobs;
  }
}

template <class In, class Out>
concept same_values = std::same_as<std::remove_const_t<typename In::element_type>, typename Out::element_type>;
/// The input of a call that only reads it (call_kind::keeps_input), as jobs take tensors.
template <class T> std::span<std::remove_const_t<T>> only_read(std::span<T> in) {
  return {const_cast<std::remove_const_t<T>*>(in.data()), in.size()};
}

/// The step of a call. Random bits must not repeat: without `.at`, wrappers count by themselves; they refuse a step
/// that is not new. Without a wrapper, a step must be given.
template <class Exec, class X> step step_of(char const* name, Exec const& ex, X const& x, program stages, step asked) {
  if constexpr (feedback_wrapper<X>) {
    if (!x.draws()) return asked;
    if (asked.given) {
      x.expect_new(asked);
      return asked;
    }
    if constexpr (requires { ex.capturing(); })
      expects(!ex.capturing(), [&] {
        return sentence(name,
                        ": the stream records a graph whose replays would repeat the random bits of one step; pass ",
                        "{.at = ccomp::step::from_device(counter)}");
      });
    return x.next_step();
  } else {
    expect_step(name, stages, asked);
    return asked;
  }
}

/// The use of an object that says who uses it; compressors, and communicators that do not, may be shared.
template <class X> auto use_of(X& x, char const* call, char const* what) {
  if constexpr (requires { x.usage(); })
    return exclusive_use(x.usage(), call, what);
  else
    return 0;
}

template <class X> constexpr char const* wrapper_name() {
  if constexpr (feedback_wrapper<X>)
    return X::keeps_several ? "error_feedback_set" : "error_feedback";
  else
    return "compressor";
}

/// In a handler: what one of ccomp's communicators threw, with the name of the collective before its own. Exceptions from
/// elsewhere go on as they are.
[[noreturn]] void rethrow_in(char const* collective);
#if CCOMP_DEFINITIONS
[[noreturn, CCOMP_SMALL]] CCOMP_FUNCTION void rethrow_in(char const* collective) {
  static constexpr std::string_view library = "ccomp: ";
  auto const named = [&]<class Error>(Error const& e) {
    std::string_view const what = e.what();
    if (!what.starts_with(library) || what.substr(library.size()).starts_with(collective)) throw;
    throw Error(sentence(library, collective, ": ", what.substr(library.size())));
  };
  try {
    throw;
  } catch (timeout const& e) {
    named(e);
  } catch (mpi_error const& e) {
    named(e);
  } catch (nccl_error const& e) {
    named(e);
  } catch (communicator_error const& e) {
    named(e);
  } catch (payload_error const& e) {
    named(e);
  }
  throw;  // not reached
}
#endif

inline void expect_weight(char const* name, std::optional<float> weight) {
  expects(!weight || (std::isfinite(*weight) && *weight >= 0),
          [&] { return sentence(name, ": a weight is a finite number of at least 0, got ", std::to_string(*weight)); });
}

/// What a collective adds to collective_options.
struct call_kind {
  reduction op = reduction::sum;
  std::optional<float> weight{};
  bool keeps_input = false;               // the tensor is only read
  std::span<std::size_t const> counts{};  // sizes that all ranks know, where the tensors of the ranks differ in size
};

/// Whether the call only loads kernels, so that no residual may change.
template <class Exec> bool only_loads([[maybe_unused]] Exec const& ex) {
  if constexpr (requires { ex.only_loads(); })
    return ex.only_loads();
  else
    return false;
}

/// Checks the compressor, makes the jobs and the engine of a call, and runs `body(engine)`. `MaySum`: whether the body may
/// call the engine's all_reduce; if not, the communicator's is not compiled.
template <bool MaySum, class Exec, class Comm, class X, class Data, class Body>
collective_report run_collective(char const* name, Exec const& ex, Comm& comm, X& x, Data& data, workspace<Exec>& ws,
                                 collective_options const& options, call_kind const& kind, Body const& body) {
  constexpr bool feedback = feedback_wrapper<X>;
  expect_weight(name, kind.weight);
  exclusive_use const own_memory(ws.usage(), name, "workspace");
  [[maybe_unused]] auto const own_ranks = use_of(comm, name, "communicator");
  [[maybe_unused]] auto const own_residual = use_of(x, name, wrapper_name<X>());
  auto const stages = engine_for<Exec>::stages_of(compressor_of(x));
  validate(stages);
  auto jobs = jobs_of(x, tensors_of(data, options.tensor));
  collective_call call{.name = name,
                       .stages = stages,
                       .jobs = jobs,
                       .mean = kind.op == reduction::mean,
                       .weight = kind.weight,
                       .keeps_input = kind.keeps_input,
                       .counts = kind.counts,
                       .at = step_of(name, ex, x, stages, options.at),
                       .feedback = feedback};
  if constexpr (feedback)
    if (!only_loads(ex)) call.keeper = &x;
  auto engine = engine_for<Exec>::template make<feedback, MaySum>(ex, comm, compressor_of(x), call, ws);
  static_assert(collective_engine<decltype(engine)>,
                "ccomp: the engine of this execution lacks what collectives ask for");
  collective_report report;
  if constexpr (collective_engine<decltype(engine)>) {
    try {
      report = body(engine);
    } catch (...) {
      if constexpr (requires { comm.holds_memory(); })
        if (comm.holds_memory()) ws.keep_until_exit();
      rethrow_in(name);
    }
    if constexpr (feedback)
      if (call.keeper) x.commit(call.at);
    report.overflowed = engine.overflowed();
    report.feedback = feedback;
  }
  return report;
}

}  // namespace detail
CCOMP_END
