#pragma once
/// Stages by name: what compressor text such as `top_k(0.01) | uniform_quantize<8>` may consist of.

#include <ccomp/stage_list.hpp>
#include <ccomp/text/stage_entry.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

CCOMP_BEGIN

/// The stages that text can name. `standard()` has every stage of the library that needs no third-party header, and the
/// others if a source of the program includes their headers. You can add stages to a copy of it.
class stage_registry {
 public:
  using entry = stage_entry;

  template <stage S> stage_registry& add(std::string summary) {
    entries_.push_back(detail::entry_of<S>(std::move(summary)));
    return *this;
  }
  [[nodiscard]] std::vector<entry> const& entries() const noexcept { return entries_; }

  /// The stage that the text names; an entry added first is the default of its family.
  [[nodiscard]] erased_stage make_stage(stage_text_parts const& text) const {
    std::string known, arguments, last;
    for (auto const& e : entries_) {
      if (e.name == text.name && (text.argument.empty() || text.argument == e.argument)) return e.make(text);
      if (e.name == text.name) detail::append_listed(arguments, e.argument);
      if (e.name != last) detail::append_listed(known, e.name);
      last = e.name;
    }
    if (arguments.find_first_not_of(", ") != std::string::npos)
      detail::fail("compressor text: " + text.name + " has no variant <" + text.argument + ">; it has " + arguments);
    for (auto const& e : entries_)
      if (e.name == text.name)
        detail::fail("compressor text: " + text.name + " takes nothing in angle brackets, got <" + text.argument + ">");
    for (auto const& row : detail::joining_stages)
      detail::expects(text.name != row.name, [&] {
        return "compressor text: " + text.name + " is known once a source of the program includes " +
               std::string(row.needs);
      });
    detail::fail("compressor text: there is no stage '" + text.name + "'; known are " + known);
  }

  /// A template, so that only programs that call it compile all stages.
  template <class = void> [[nodiscard]] static stage_registry const& standard() {
    static stage_registry const all = [] {
      stage_registry r;
      detail::for_each_stage(
          [&]<class S>(std::type_identity<S>, auto const& row) { r.add<S>(std::string(row.summary)); });
      for (auto* const joined : detail::joined_entries()) {
        auto& e = r.entries_.emplace_back(joined());
        for (auto const& row : detail::joining_stages)
          if (e.name == row.name) e.summary = row.summary;
      }
      return r;
    }();
    return all;
  }

 private:
  std::vector<entry> entries_;
};

CCOMP_END
