#pragma once
/// A compressor chosen at run time, from text.

#include <ccomp/core/chain.hpp>
#include <ccomp/stage_registry.hpp>

CCOMP_BEGIN

/// A chain known only at run time. It can be used wherever a typed chain can, with the same bytes and the same speed.
///
/// in_flight is checked at run time, because the type does not tell whether the chain is linear.
/// Throws: invalid_argument, with one sentence, for text that is not a chain of known stages.
class any_compressor {
 public:
  template <class = void>  // so that programs without text do not compile all stages
  explicit any_compressor(std::string_view text) : any_compressor(text, stage_registry::standard()) {}
  any_compressor(std::string_view text, stage_registry const& known);
  /// From a typed chain; the type is forgotten.
  template <class C>
  requires(!std::derived_from<C, any_compressor>) && detail::chainable<C>
  explicit any_compressor(C const& c) {
    std::apply(
        [&](auto const&... s) {
          (add({std::make_shared<std::remove_cvref_t<decltype(s)>>(s),
                &detail::facts_of<std::remove_cvref_t<decltype(s)>>(),
                &detail::host_ops_of<std::remove_cvref_t<decltype(s)>>()}),
           ...);
        },
        detail::as_tuple(c));
    detail::validate(stages());
  }

  [[nodiscard]] std::span<detail::stage_ref const> stages() const noexcept { return refs_; }
  /// The chain in the grammar of the constructor.
  [[nodiscard]] std::string text() const { return detail::text(refs_); }
  [[nodiscard]] bool is_linear() const { return detail::is_linear(refs_); }

 private:
  void add(erased_stage s) {
    refs_.push_back({s.object.get(), s.facts, s.host});
    owned_.push_back(std::move(s.object));
  }
  std::vector<std::shared_ptr<void const>> owned_;
  std::vector<detail::stage_ref> refs_;
};

#if CCOMP_DEFINITIONS
[[CCOMP_SMALL]] CCOMP_FUNCTION any_compressor::any_compressor(std::string_view text, stage_registry const& known) {
  for (auto const& parts : detail::compressor_text(text).parse()) add(known.make_stage(parts));
  detail::validate(stages());
}
#endif

/// An any_compressor whose text may name these stages alone, so that no others are compiled. With a cuda_exec, any chain of
/// them has the same bytes as on the host, and one kernel per pass if the typed chain has one.
///
/// Throws: invalid_argument for text with another stage, and from calls with a cuda_exec if a typed chain brought one
template <stage... Stages> class any_compressor_of : public any_compressor {
 public:
  using any_compressor::any_compressor;
  explicit any_compressor_of(std::string_view text) : any_compressor(text, known()) {}

  [[nodiscard]] static stage_registry const& known() {
    static stage_registry const listed = [] {
      stage_registry r;
      (r.add<Stages>({}), ...);
      return r;
    }();
    return listed;
  }
};

/// The stages that the standard registry knows: name, argument, settings with their defaults, and one line of
/// description.
template <class = void> [[nodiscard]] std::vector<stage_registry::entry> const& known_stages() {
  return stage_registry::standard().entries();
}

CCOMP_END
