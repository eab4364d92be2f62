#pragma once
/// A stage that text can name: what it is called, what it takes, and how it is made.

#include <ccomp/engine/host/ops.hpp>
#include <ccomp/text/compressor_text.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

CCOMP_BEGIN

/// A stage whose type was chosen at run time.
struct erased_stage {
  std::shared_ptr<void const> object;
  detail::stage_facts const* facts = nullptr;
  detail::host_ops const* host = nullptr;
};

struct stage_entry {
  std::string name, argument, settings, summary;  // settings: with their defaults
  erased_stage (*make)(stage_text_parts const&);
};

namespace detail {

/// How an object of a stage's type is made and deleted.
struct stage_lifetime {
  void* (*create)();
  void (*destroy)(void*);
};
template <class S>
inline constexpr stage_lifetime lifetime_of{[]() -> void* { return new S{}; },
                                            [](void* s) { delete static_cast<S*>(s); }};

/// A stage with the settings of the text.
erased_stage make_stage(stage_text_parts const& text, stage_lifetime const&, stage_facts const&, host_ops const&);
template <class S> [[CCOMP_SMALL]] erased_stage make_stage(stage_text_parts const& text) {
  return make_stage(text, lifetime_of<S>, facts_of<S>(), host_ops_of<S>());
}

stage_entry entry_of(stage_description const&, std::string_view summary, erased_stage (*make)(stage_text_parts const&));
template <class S> stage_entry entry_of(std::string_view summary = {}) {
  return entry_of(description_of<S>, summary, &make_stage<S>);
}
/// One call per stage: `push_back` in its place would be compiled for each of them.
void add_entry(std::vector<stage_entry>& all, stage_description const&, std::string_view summary,
               erased_stage (*make)(stage_text_parts const&));
template <class S> void add_entry(std::vector<stage_entry>& all, std::string_view summary) {
  add_entry(all, description_of<S>, summary, &make_stage<S>);
}

/// Stages of low_rank/, some of which need a third-party library, join when a source of the program includes their header:
///   inline bool const power_sgd_joins = join_text([] { return entry_of<power_sgd>(); });
/// Their summaries are in stage_list.hpp. Filled before main, and so before a registry is asked for the first time.
inline std::vector<stage_entry (*)()>& joined_entries() {
  static std::vector<stage_entry (*)()> list;
  return list;
}
inline bool join_text(stage_entry (*entry)()) {
  joined_entries().push_back(entry);
  return true;
}

#if CCOMP_DEFINITIONS
[[CCOMP_SMALL]] CCOMP_FUNCTION stage_entry entry_of(stage_description const& d, std::string_view summary,
                                                    erased_stage (*make)(stage_text_parts const&)) {
  return {std::string(d.name), d.argument ? d.argument() : std::string(), settings_text(d.fields, d.plain()),
          std::string(summary), make};
}
[[CCOMP_SMALL]] CCOMP_FUNCTION void add_entry(std::vector<stage_entry>& all, stage_description const& d,
                                              std::string_view summary, erased_stage (*make)(stage_text_parts const&)) {
  all.push_back(entry_of(d, summary, make));
}
/// Writes the settings of the text into a stage.
[[CCOMP_SMALL]] inline void parse_settings(stage_text_parts const& text, erased_fields fields, void* stage) {
  std::vector<bool> given(fields.size());
  std::size_t position = 0;
  for (auto const& s : text.settings) {
    std::size_t at = 0;
    if (s.key.empty()) {
      at = position++;
      expects(at < fields.size(), [&] {
        return sentence("compressor text: ", text.name, " takes at most ", fields.size(), " settings, '", s.value,
                        "' is one too many");
      });
    } else {
      while (at < fields.size() && fields[at].name != s.key) ++at;
      expects(at < fields.size(), [&] {
        std::string known;
        for (auto const& f : fields) append_listed(known, f.name);
        return sentence("compressor text: ", text.name, " has no setting '", s.key, "'; ",
                        known.empty() ? "it has none" : "it has " + known);
      });
    }
    auto const& f = fields[at];
    expects(!given[at], [&] { return sentence("compressor text: ", text.name, "'s ", f.name, " is given twice"); });
    given[at] = true;
    f.value->parse(const_cast<void*>(f.in(stage)), s.value, {text.name, f.name});
  }
}
[[CCOMP_SMALL]] CCOMP_FUNCTION erased_stage make_stage(stage_text_parts const& text, stage_lifetime const& lifetime,
                                                       stage_facts const& facts, host_ops const& host) {
  std::shared_ptr<void> stage(lifetime.create(), lifetime.destroy);
  parse_settings(text, facts.description->fields, stage.get());
  facts.validate(stage.get());
  return {std::move(stage), &facts, &host};
}
#endif

}  // namespace detail
CCOMP_END
