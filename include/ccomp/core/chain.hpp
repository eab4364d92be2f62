#pragma once
/// `top_k{.ratio = 0.01} | uniform_quantize<8>{}`: stages one after another; each one codes the carrier of the stage
/// before it.

#include <ccomp/core/concepts.hpp>
#include <ccomp/core/program.hpp>
#include <ccomp/core/tensor.hpp>

#include <array>
#include <string>
#include <tuple>
#include <utility>

CCOMP_BEGIN

/// A compressor made of several stages. A value; copies are cheap.
template <stage... Stages> struct chain {
  std::tuple<Stages...> stages;
  static constexpr bool is_linear = (linear<Stages> && ...);
};

namespace detail {

template <class C> struct is_chain : std::false_type {};
template <class... S> struct is_chain<chain<S...>> : std::true_type {};

template <stage S> constexpr std::tuple<S> as_tuple(S s) { return {std::move(s)}; }
template <class... S> constexpr std::tuple<S...> as_tuple(chain<S...> c) { return std::move(c.stages); }

template <class C> struct last_stage {
  using type = C;
};
template <class... S> struct last_stage<chain<S...>> {
  using type = std::tuple_element_t<sizeof...(S) - 1, std::tuple<S...>>;
};

template <class C>
concept chainable = stage<C> || is_chain<C>::value;

/// The stages of a compressor: what is known of them.
template <stage S> std::array<stage_ref, 1> stages_of(S const& s) { return {{{&s, &facts_of<S>()}}}; }
template <class... S> std::array<stage_ref, sizeof...(S)> stages_of(chain<S...> const& c) {
  return std::apply(
      [](auto const&... s) {
        return std::array<stage_ref, sizeof...(S)>{{{&s, &facts_of<std::remove_cvref_t<decltype(s)>>()}...}};
      },
      c.stages);
}
/// Chains known at run time bring their own list.
template <class C>
concept run_time_chain = requires(C const& c) {
  { c.stages() } -> std::convertible_to<program>;
};
template <run_time_chain C> program stages_of(C const& c) { return c.stages(); }

}  // namespace detail

template <detail::chainable A, detail::chainable B> constexpr auto operator|(A a, B b) {
  using last = typename detail::last_stage<A>::type;
  static_assert(!quantizer_stage<last> && !cast_stage<last>,
                "ccomp: a quantizer or cast ends its chain: it leaves no values for a following stage to code");
  return std::apply([](auto... s) { return chain<decltype(s)...>{std::tuple{std::move(s)...}}; },
                    std::tuple_cat(detail::as_tuple(std::move(a)), detail::as_tuple(std::move(b))));
}

/// A stage, a chain of stages or an any_compressor.
template <class C>
concept compressor = requires(C const& c) { detail::stages_of(c); };

namespace detail {

/// The object that keeps the residuals of a call: error_feedback, or a set of them.
class residual_keeper {
 public:
  /// The call begins to change residuals. After a failure from here on, they are invalid.
  virtual void prepare() = 0;
  /// The call succeeded, at this step.
  virtual void commit(step at) noexcept = 0;

 protected:
  residual_keeper() = default;
  residual_keeper(residual_keeper const&) = default;
  residual_keeper(residual_keeper&&) = default;
  residual_keeper& operator=(residual_keeper const&) = default;
  residual_keeper& operator=(residual_keeper&&) = default;
  virtual ~residual_keeper() = default;
};

/// A compressor with the residuals of one tensor, or of several:
///   inner(): the compressor; jobs(tensors): what a call may change; draws(), next_step(), expect_new(step): its steps;
///   keeps_several: whether it takes more than one tensor.
template <class X>
concept feedback_wrapper = std::derived_from<X, residual_keeper>;

template <class X> auto const& compressor_of(X const& x) {
  if constexpr (feedback_wrapper<X>)
    return x.inner();
  else
    return x;
}
template <class X> using compressor_type = std::remove_cvref_t<decltype(compressor_of(std::declval<X const&>()))>;

/// `X` is the type of a call's compressor, as a forwarding reference deduces it. True for a wrapper that is not const
/// and lives longer than the call, and for a compressor that is not a wrapper.
template <class X> constexpr bool keeps_residual() {
  return !feedback_wrapper<std::remove_cvref_t<X>> ||
         (std::is_lvalue_reference_v<X> && !std::is_const_v<std::remove_reference_t<X>>);
}

}  // namespace detail

/// The chain as text, in the grammar that any_compressor reads.
template <compressor C> std::string text(C const& c) {
  auto const stages = detail::stages_of(c);
  return detail::text(stages);
}
/// Settings, seeds included, as one number; ranks and frames compare it.
template <compressor C> std::uint64_t fingerprint(C const& c) {
  auto const stages = detail::stages_of(c);
  return detail::fingerprint(stages);
}

CCOMP_END
