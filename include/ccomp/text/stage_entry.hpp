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

template <class S> erased_stage make_stage(stage_text_parts const& text) {
  auto made = std::make_shared<S>();
  std::vector<std::string_view> keys;
  for_each_field<S>([&](auto const& f) { keys.push_back(f.name); });
  std::vector<bool> given(keys.size());
  std::size_t position = 0;
  for (auto const& s : text.settings) {
    std::size_t at = 0;
    if (s.key.empty()) {
      at = position++;
      expects(at < keys.size(), [&] {
        return "compressor text: " + text.name + " takes at most " + std::to_string(keys.size()) + " settings, '" +
               s.value + "' is one too many";
      });
    } else {
      while (at < keys.size() && keys[at] != s.key) ++at;
      expects(at < keys.size(), [&] {
        std::string known;
        for (auto const k : keys) append_listed(known, k);
        return "compressor text: " + text.name + " has no setting '" + s.key + "'; " +
               (known.empty() ? "it has none" : "it has " + known);
      });
    }
    expects(!given[at],
            [&] { return "compressor text: " + text.name + "'s " + std::string(keys[at]) + " is given twice"; });
    given[at] = true;
    std::size_t i = 0;
    for_each_field<S>([&](auto const& f) {
      if (i++ == at) parse_value((*made).*f.member, s.value, text.name, f.name);
    });
  }
  validate_stage(*made);
  return {std::move(made), &facts_of<S>, &host_ops_of<S>};
}

template <class S> stage_entry entry_of(std::string summary = {}) {
  std::string argument, settings;
  if constexpr (requires { S::argument(); }) argument = S::argument();
  S const plain{};
  for_each_field<S>([&](auto const& f) {
    append_listed(settings, f.name);
    settings += '=';
    settings += print_value(plain.*f.member);
  });
  return {std::string(S::name), std::move(argument), std::move(settings), std::move(summary), &make_stage<S>};
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

}  // namespace detail
CCOMP_END
