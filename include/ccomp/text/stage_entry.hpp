#pragma once
/// A stage that text can name: what it is called, what it takes, and how it is made.

#include <ccomp/engine/host/ops.hpp>
#include <ccomp/text/compressor_text.hpp>

#include <memory>

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

/// Writes the settings of the text into a stage.
void parse_settings(stage_text_parts const& text, erased_fields fields, void* stage);
template <class S> erased_stage make_stage(stage_text_parts const& text) {
  auto made = std::make_shared<S>();
  parse_settings(text, erased_fields_of<S>, made.get());
  validate_stage(*made);
  return {std::move(made), &facts_of<S>(), &host_ops_of<S>()};
}

template <class S> stage_entry entry_of(std::string summary = {}) {
  std::string argument;
  if constexpr (requires { S::argument(); }) argument = S::argument();
  S const plain{};
  return {std::string(S::name), std::move(argument), settings_text(erased_fields_of<S>, &plain), std::move(summary),
          &make_stage<S>};
}

/// Stages whose headers need a third-party library join when a source of the program includes them:
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
CCOMP_FUNCTION void parse_settings(stage_text_parts const& text, erased_fields fields, void* stage) {
  std::vector<bool> given(fields.size());
  std::size_t position = 0;
  for (auto const& s : text.settings) {
    std::size_t at = 0;
    if (s.key.empty()) {
      at = position++;
      expects(at < fields.size(), [&] {
        return "compressor text: " + text.name + " takes at most " + std::to_string(fields.size()) + " settings, '" +
               s.value + "' is one too many";
      });
    } else {
      while (at < fields.size() && fields[at].name != s.key) ++at;
      expects(at < fields.size(), [&] {
        std::string known;
        for (auto const& f : fields) append_listed(known, f.name);
        return "compressor text: " + text.name + " has no setting '" + s.key + "'; " +
               (known.empty() ? "it has none" : "it has " + known);
      });
    }
    auto const& f = fields[at];
    expects(!given[at],
            [&] { return "compressor text: " + text.name + "'s " + std::string(f.name) + " is given twice"; });
    given[at] = true;
    f.value->parse(const_cast<void*>(f.in(stage)), s.value, text.name, f.name);
  }
}
#endif

}  // namespace detail
CCOMP_END
