#pragma once
/// The settings of a stage by name: for text (`top_k(0.01)`), for printing and for the fingerprint ranks compare.

#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/random.hpp>
#include <ccomp/core/read_number.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

CCOMP_BEGIN

/// One setting: its name in text and where it lives. A stage lists its own in
/// `static constexpr auto fields() { return std::tuple{field{"ratio", &top_k::ratio}}; }`.
template <class Stage, class Value> struct field {
  using pointer = Value Stage::*;  // named: nvcc would hand the member's declaration on with parentheses
  std::string_view name;
  pointer member;
  bool added = false;  // see added_setting
};
/// Marks a setting that the stage did not have at first: `field{"clip", &uniform_quantize::clip, added_setting}`. It counts
/// in the fingerprint only where it is not at its default, so that frames from before the setting can still be read. It
/// stands behind all others, since text may give settings by position.
inline constexpr bool added_setting = true;
template <class Stage, class Value> field(char const*, Value Stage::*) -> field<Stage, Value>;
template <class Stage, class Value> field(char const*, Value Stage::*, bool) -> field<Stage, Value>;

/// An enumeration used as a setting lists its names in order: `constexpr auto setting_names(rounding) { return
/// std::array{"nearest", "stochastic"}; }`.
template <class E>
concept named_enum = std::is_enum_v<E> && requires(E e) { setting_names(e).size(); };

constexpr auto setting_names(rounding) { return std::array<std::string_view, 2>{"nearest", "stochastic"}; }

namespace detail {

/// a, b, c
inline void append_listed(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

inline std::uint64_t hash_bytes(std::string_view s, std::uint64_t h = 0xcbf29ce484222325ull) {
  for (char const c : s) h = hash64(h, static_cast<unsigned char>(c));
  return h;
}

/// What a word or a value in a compressor's text is made of: letters, digits and what numbers and paths are written with.
constexpr bool is_text_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '+' || c == '-' || c == '/';
}
inline constexpr std::size_t longest_text_value = 512;
/// Whether text can hold this value, so that it can be read back.
inline bool is_text_value(std::string_view value) {
  return !value.empty() && value.size() <= longest_text_value &&
         std::all_of(value.begin(), value.end(), is_text_character);
}

/// A fixed number of numbers: 0.5/1/2 in text.
template <class V> inline constexpr bool number_list = false;
template <class T, std::size_t N> inline constexpr bool number_list<std::array<T, N>> = true;

/// A type of settings with a text of its own: `bool read(std::string_view)`, `std::string print() const`, which is_text_value,
/// and `wanted`, what a refused text should have been. `std::uint64_t fingerprint() const`, if the text does not say all;
/// messages for ranks that disagree show a part of it.
template <class V>
concept has_own_text = requires(V& v, V const& c, std::string_view text) {
  { v.read(text) } -> std::same_as<bool>;
  { c.print() } -> std::same_as<std::string>;
  { V::wanted } -> std::convertible_to<std::string_view>;
};

/// Where text sets a value: the stage and the name of the setting.
struct setting_place {
  std::string_view stage, key;
  [[noreturn]] void refuse(std::string_view text, std::string_view want) const;
};
template <class V> [[CCOMP_SMALL]] void parse_value(V& out, std::string_view text, setting_place const& at) {
  if constexpr (std::same_as<V, bool>) {
    if (text == "true")
      out = true;
    else if (text == "false")
      out = false;
    else
      at.refuse(text, "true or false");
  } else if constexpr (named_enum<V>) {
    constexpr auto names = setting_names(V{});
    std::string known;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (text == names[i]) {
        out = static_cast<V>(i);
        return;
      }
      append_listed(known, names[i]);
    }
    at.refuse(text, "one of " + known);
  } else if constexpr (number_list<V>) {
    if (text == "none") {
      out = {};
      return;
    }
    std::size_t i = 0;
    for (std::string_view unread = text; i < out.size(); ++i) {
      auto const cut = unread.find('/');
      if ((cut == unread.npos) != (i + 1 == out.size())) break;
      parse_value(out[i], unread.substr(0, cut), at);
      unread.remove_prefix(cut == unread.npos ? unread.size() : cut + 1);
    }
    if (i < out.size()) at.refuse(text, sentence(out.size(), " numbers with / between them, or none"));
  } else if constexpr (has_own_text<V>) {
    if (!out.read(text)) at.refuse(text, V::wanted);
  } else {
    bool ok = read_number(text, out);
    if constexpr (std::floating_point<V>) ok = ok && std::isfinite(out);
    if (ok) return;
    if constexpr (std::floating_point<V>)
      at.refuse(text, "a finite number");
    else
      at.refuse(text,
                sentence("a whole number from ", std::numeric_limits<V>::min(), " to ", std::numeric_limits<V>::max()));
  }
}

template <class V> [[CCOMP_SMALL]] std::string print_value(V const& v) {
  if constexpr (std::same_as<V, bool>) {
    return v ? "true" : "false";
  } else if constexpr (named_enum<V>) {
    auto const names = setting_names(V{});
    auto const i = static_cast<std::size_t>(v);
    return i < names.size() ? std::string(names[i]) : sentence("unnamed ", i);
  } else if constexpr (number_list<V>) {
    if (v == V{}) return "none";
    std::string text;
    for (auto const& each : v) text += (text.empty() ? "" : "/") + print_value(each);
    return text;
  } else if constexpr (has_own_text<V>) {
    return v.print();
  } else {
    std::array<char, 40> buffer{};
    auto const end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v).ptr;
    return {buffer.data(), end};
  }
}

/// Says more than its text does, as a codebook whose file has the same name on two ranks.
template <class V>
concept has_fingerprint = requires(V const& v) {
  { v.fingerprint() } -> std::same_as<std::uint64_t>;
};
template <class V> void hash_value(std::uint64_t& h, V const& v) {
  if constexpr (number_list<V>)
    for (auto const& each : v) hash_value(h, each);
  else if constexpr (has_fingerprint<V>)
    h = hash64(h, v.fingerprint());
  else if constexpr (has_own_text<V>)
    h = hash64(h, hash_bytes(v.print()));
  else if constexpr (std::floating_point<V>)
    h = hash64(h, std::bit_cast<std::uint64_t>(static_cast<double>(v)));
  else
    h = hash64(h, static_cast<std::uint64_t>(v));
}

/// What text does with values of one type.
struct value_ops {
  bool (*equal)(void const*, void const*);
  std::string (*print)(void const*);
  void (*parse)(void*, std::string_view text, setting_place const&);
  void (*hash)(std::uint64_t&, void const*);
  std::uint64_t (*fingerprint)(void const*);  // null: the text says all
};
template <class V> constexpr auto fingerprint_function() -> decltype(value_ops::fingerprint) {
  if constexpr (has_fingerprint<V>)
    return [](void const* v) { return static_cast<V const*>(v)->fingerprint(); };
  else
    return nullptr;
}
template <class V>
inline constexpr value_ops value_ops_of = {
    [](void const* a, void const* b) { return *static_cast<V const*>(a) == *static_cast<V const*>(b); },
    [](void const* v) { return print_value(*static_cast<V const*>(v)); },
    [](void* v, std::string_view text, setting_place const& at) { parse_value(*static_cast<V*>(v), text, at); },
    [](std::uint64_t& h, void const* v) { hash_value(h, *static_cast<V const*>(v)); }, fingerprint_function<V>()};

/// A field without its types, so that all stages share the functions below.
struct erased_field {
  std::string_view name;
  void const* (*in)(void const* stage);
  value_ops const* value;
  bool added;
};
using erased_fields = std::span<erased_field const>;

template <class Stage, std::size_t I> void const* field_in(void const* stage) {
  return &(static_cast<Stage const*>(stage)->*std::get<I>(Stage::fields()).member);
}
template <class Stage, class V> V value_type_of(field<Stage, V> const&);
template <class Stage, std::size_t... I> constexpr auto make_erased_fields(std::index_sequence<I...>) {
  return std::array<erased_field, sizeof...(I)>{
      {{std::get<I>(Stage::fields()).name, &field_in<Stage, I>,
        &value_ops_of<decltype(value_type_of(std::get<I>(Stage::fields())))>, std::get<I>(Stage::fields()).added}...}};
}
template <class Stage>
inline constexpr auto erased_fields_of =
    make_erased_fields<Stage>(std::make_index_sequence<std::tuple_size_v<decltype(Stage::fields())>>{});

/// What a stage is called and what it takes, without its type.
struct stage_description {
  std::string_view name;
  std::string (*argument)();  // null: it has none
  erased_fields fields;
  void const* (*plain)();  // a stage with default settings
};
template <class Stage> void const* plain_stage() {
  static Stage const plain{};
  return &plain;
}
template <class Stage>
inline constexpr stage_description description_of = {
    Stage::name,
    [] {
      using argument_t = decltype(stage_description::argument);
      if constexpr (requires { Stage::argument(); })
        return argument_t{[] { return std::string(Stage::argument()); }};
      else
        return argument_t{};
    }(),
    erased_fields_of<Stage>, &plain_stage<Stage>};

/// `uniform_quantize<8>`: the name with its template argument.
std::string type_text(stage_description const&);
/// block=1024, seed=7: the settings that differ from those of `plain`; without `plain`, all settings.
std::string settings_text(erased_fields fields, void const* stage, void const* plain = nullptr);
/// `uniform_quantize<8>(block=1024)`: settings that differ from the defaults.
std::string text_of(stage_description const&, void const* stage);
std::uint64_t fingerprint_of(stage_description const&, void const* stage);
/// codebook with the checksum 123456: the settings of which the text does not say all, if they differ from the defaults.
std::string checksums_text(stage_description const&, void const* stage);

template <class Stage> std::string stage_type_text() { return type_text(description_of<Stage>); }
template <class Stage> std::string stage_text(Stage const& stage) { return text_of(description_of<Stage>, &stage); }
template <class Stage> std::uint64_t stage_fingerprint(Stage const& stage) {
  return fingerprint_of(description_of<Stage>, &stage);
}

#if CCOMP_DEFINITIONS
[[gnu::cold]] CCOMP_FUNCTION void setting_place::refuse(std::string_view text, std::string_view want) const {
  fail(sentence("compressor text: ", stage, "'s ", key, " must be ", want, ", got '", text, "'"));
}
[[CCOMP_SMALL]] CCOMP_FUNCTION std::string type_text(stage_description const& d) {
  std::string text{d.name};
  return d.argument ? text.append(1, '<').append(d.argument()).append(1, '>') : text;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION std::string settings_text(erased_fields fields, void const* stage, void const* plain) {
  std::string settings;
  for (auto const& f : fields) {
    void const* const value = f.in(stage);
    if (plain && f.value->equal(value, f.in(plain))) continue;
    append_listed(settings, f.name);
    settings += '=';
    settings += f.value->print(value);
  }
  return settings;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION std::string text_of(stage_description const& d, void const* stage) {
  std::string text = type_text(d), settings = settings_text(d.fields, stage, d.plain());
  return settings.empty() ? text : text.append(1, '(').append(settings).append(1, ')');
}
CCOMP_FUNCTION std::uint64_t fingerprint_of(stage_description const& d, void const* stage) {
  std::uint64_t h = hash_bytes(type_text(d));
  for (auto const& f : d.fields) {
    if (f.added) {
      if (f.value->equal(f.in(stage), f.in(d.plain()))) continue;
      h = hash_bytes(f.name, h);  // or one added setting could pass for another
    }
    f.value->hash(h, f.in(stage));
  }
  return h;
}
[[gnu::cold]] CCOMP_FUNCTION std::string checksums_text(stage_description const& d, void const* stage) {
  std::string text;
  for (auto const& f : d.fields)
    if (f.value->fingerprint && !f.value->equal(f.in(stage), f.in(d.plain())))
      append_listed(text, sentence(f.name, " with the checksum ", f.value->fingerprint(f.in(stage)) % 1000000));
  return text;
}
#endif

}  // namespace detail
CCOMP_END
