#pragma once
/// A compressor chosen at run time, from text.

#include <ccomp/chain.hpp>
#include <ccomp/stage_registry.hpp>

CCOMP_BEGIN
namespace detail {

/// Grammar: stage { '|' stage };  stage: name [ '<' argument '>' ] [ '(' [ setting { ',' setting } ] ')' ];
/// setting: value | key '=' value. White space is free. At most 16 stages, words of at most 64 characters.
class compressor_text {
 public:
  static constexpr std::size_t longest_word = 64;

  explicit compressor_text(std::string_view text) : text_(text) {}

  std::vector<stage_text_parts> parse() {
    std::vector<stage_text_parts> stages;
    do {
      stages.push_back(one_stage());
      expects(stages.size() <= most_stages,
              [] { return "compressor text: a chain has at most " + std::to_string(most_stages) + " stages"; });
    } while (take('|'));
    if (at_ < text_.size()) refuse("'|' or the end");
    return stages;
  }

 private:
  static std::string shortened(std::string text) {
    constexpr std::size_t most = 80;
    return text.size() <= most ? text : text.substr(0, most) + "...";
  }
  static bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void skip_space() {
    while (at_ < text_.size() && space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    skip_space();
    return true;
  }
  /// Letters, digits and what numbers are written with.
  std::string word(char const* wanted) {
    skip_space();
    std::size_t const begin = at_;
    auto part_of_word = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
             c == '+' || c == '-';
    };
    while (at_ < text_.size() && part_of_word(text_[at_])) ++at_;
    if (at_ == begin) refuse(wanted);
    expects(at_ - begin <= longest_word, [&] {
      return "compressor text: '" + shortened(std::string(text_.substr(begin, at_ - begin))) + "' at position " +
             std::to_string(begin + 1) + " is too long for " + wanted;
    });
    return std::string(text_.substr(begin, at_ - begin));
  }
  stage_text_parts one_stage() {
    stage_text_parts s;
    s.name = word("a stage's name");
    if (take('<')) {
      s.argument = word("what stands between < and >");
      if (!take('>')) refuse("'>'");
    }
    if (take('(') && !take(')')) {
      do {
        stage_text_parts::setting one;
        one.value = word("a setting");
        if (take('=')) {
          one.key = std::move(one.value);
          one.value = word("a value");
        }
        s.settings.push_back(std::move(one));
      } while (take(','));
      if (!take(')')) refuse("',' or ')'");
    }
    skip_space();
    return s;
  }
  [[noreturn]] void refuse(std::string const& wanted) const {
    std::string const found = at_ < text_.size() ? "'" + std::string(1, text_[at_]) + "'" : "the end";
    fail("compressor text: expected " + wanted + " at position " + std::to_string(at_ + 1) + " of '" +
         shortened(std::string(text_)) + "', found " + found);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace detail

/// A chain known only at run time: goes wherever a typed chain goes, gives the same bytes and the same speed.
///
/// Strategy in_flight is checked when it runs, since the type cannot tell whether the chain is linear.
/// Throws: invalid_argument, one sentence, for text that is no chain of known stages.
class any_compressor {
 public:
  template <class = void>  // so that programs without text do not compile all stages
  explicit any_compressor(std::string_view text) : any_compressor(text, stage_registry::standard()) {}
  any_compressor(std::string_view text, stage_registry const& known) {
    for (auto const& parts : detail::compressor_text(text).parse()) add(known.make_stage(parts));
    detail::validate(stages());
  }
  /// Forgets the type of a chain.
  template <class C>
  requires(!std::derived_from<C, any_compressor>) && detail::chainable<C> explicit any_compressor(C const& c) {
    std::apply(
        [&](auto const&... s) {
          (add({std::make_shared<std::remove_cvref_t<decltype(s)>>(s),
                &detail::ops_of<std::remove_cvref_t<decltype(s)>>}),
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
    refs_.push_back({s.object.get(), s.ops});
    owned_.push_back(std::move(s.object));
  }
  std::vector<std::shared_ptr<void const>> owned_;
  std::vector<detail::stage_ref> refs_;
};

/// The stages that the standard registry knows: name, argument, settings with their defaults, one line.
template <class = void> [[nodiscard]] std::vector<stage_registry::entry> const& known_stages() {
  return stage_registry::standard().entries();
}

CCOMP_END
