#pragma once
/// Stages by name: what compressor text such as `top_k(0.01) | uniform_quantize<8>` may consist of.

#include <ccomp/stage_list.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

CCOMP_BEGIN

namespace detail {

template <class Registry> [[CCOMP_SMALL]] Registry const& standard_registry() {
  static Registry const all = [] {
    std::vector<stage_entry> entries;
    for_each_stage([&]<class S>(std::type_identity<S>, auto const& row) { add_entry<S>(entries, row.summary); });
    Registry r;
    for (auto& e : entries) r.add(std::move(e));
    for (auto* const joined : joined_entries()) {
      stage_entry e = joined();
      for (auto const& row : joining_stages)
        if (e.name == row.name) e.summary = row.summary;
      r.add(std::move(e));
    }
    return r;
  }();
  return all;
}

}  // namespace detail

/// The stages that text can name. `standard()` has every stage of the library that needs no third-party header, and the
/// others if a source of the program includes their headers. You can add stages to a copy of it.
class stage_registry {
 public:
  using entry = stage_entry;

  template <stage S> stage_registry& add(std::string const& summary) {
    detail::add_entry<S>(entries_, summary);
    return *this;
  }
  stage_registry& add(entry e) {
    entries_.push_back(std::move(e));
    return *this;
  }
  [[nodiscard]] std::vector<entry> const& entries() const noexcept { return entries_; }

  /// The stage that the text names; an entry added first is the default of its family.
  [[nodiscard]] erased_stage make_stage(stage_text_parts const& text) const;

  /// A template, so that only programs that call it compile all stages.
  template <class Registry = stage_registry> [[nodiscard]] static Registry const& standard() {
    return detail::standard_registry<Registry>();
  }

 private:
  std::vector<entry> entries_;
};

#if CCOMP_LINKED
namespace detail {
CCOMP_INSTANTIATION stage_registry const& standard_registry<stage_registry>();
}
#endif

#if CCOMP_DEFINITIONS
[[CCOMP_SMALL]] CCOMP_FUNCTION erased_stage stage_registry::make_stage(stage_text_parts const& text) const {
  std::string known, arguments, last;
  for (auto const& e : entries_) {
    if (e.name == text.name && (text.argument.empty() || text.argument == e.argument)) return e.make(text);
    if (e.name == text.name) detail::append_listed(arguments, e.argument);
    if (e.name != last) detail::append_listed(known, e.name);
    last = e.name;
  }
  if (arguments.find_first_not_of(", ") != std::string::npos)
    detail::fail(
        detail::sentence("compressor text: ", text.name, " has no variant <", text.argument, ">; it has ", arguments));
  for (auto const& e : entries_)
    if (e.name == text.name)
      detail::fail(detail::sentence("compressor text: ", text.name, " takes nothing in angle brackets, got <",
                                    text.argument, ">"));
  for (auto const& row : detail::joining_stages)
    detail::expects(text.name != row.name, [&] {
      return detail::sentence("compressor text: ", text.name, " is known once a source of the program includes ",
                              row.needs);
    });
  detail::fail(detail::sentence("compressor text: there is no stage '", text.name, "'; known are ", known));
}
#endif

CCOMP_END
