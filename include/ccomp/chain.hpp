#pragma once
/// `top_k{.ratio = 0.01} | uniform_quantize<8>{}`: stages one after another, each coding the carrier of the one before.

#include <array>
#include <ccomp/concepts.hpp>
#include <ccomp/engine/host/program.hpp>
#include <string>
#include <tuple>

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

template <class C> struct last_stage { using type = C; };
template <class... S> struct last_stage<chain<S...>> {
  using type = std::tuple_element_t<sizeof...(S) - 1, std::tuple<S...>>;
};

template <class C>
concept chainable = stage<C> || is_chain<C>::value;

/// The stages of a compressor as the engine wants them.
template <stage S> std::array<stage_ref, 1> stages_of(S const& s) { return {{{&s, &ops_of<S>}}}; }
template <class... S> std::array<stage_ref, sizeof...(S)> stages_of(chain<S...> const& c) {
  return std::apply(
      [](auto const&... s) {
        return std::array<stage_ref, sizeof...(S)>{{{&s, &ops_of<std::remove_cvref_t<decltype(s)>>}...}};
      },
      c.stages);
}
/// Chains known at run time bring their own list.
template <class C>
requires requires(C const& c) {
  { c.stages() } -> std::convertible_to<program>;
}
program stages_of(C const& c) { return c.stages(); }

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
concept compressor = requires(C const& c) {
  detail::stages_of(c);
};

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
