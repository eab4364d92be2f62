#pragma once
/// Compressor text, `top_k(0.01) | uniform_quantize<8>`, taken apart.

#include <ccomp/core/fields.hpp>
#include <ccomp/core/program.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

CCOMP_BEGIN

/// A stage in text: `name<argument>`, then settings by position or by name.
struct stage_text_parts {
  std::string name, argument;
  struct setting {
    std::string key, value;  // no key: by position
  };
  std::vector<setting> settings;
};

namespace detail {

/// Grammar: stage { '|' stage };  stage: name [ '<' argument '>' ] [ '(' [ setting { ',' setting } ] ')' ];
/// setting: value | key '=' value. White space is free. At most 16 stages, words of at most 64 characters, values of at
/// most 512.
class compressor_text {
 public:
  static constexpr std::size_t longest_word = 64;

  explicit compressor_text(std::string_view text) : text_(text) {}

  [[CCOMP_SMALL]] std::vector<stage_text_parts> parse() {
    std::vector<stage_text_parts> stages;
    do {
      stages.push_back(one_stage());
      expects(stages.size() <= most_stages,
              [] { return sentence("compressor text: a chain has at most ", most_stages, " stages"); });
    } while (take('|'));
    if (at_ < text_.size()) refuse("'|' or the end");
    return stages;
  }

 private:
  static std::string shortened(std::string const& text) {
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
  [[CCOMP_SMALL]] std::string word(char const* wanted, std::size_t longest = longest_word) {
    skip_space();
    std::size_t const begin = at_;
    while (at_ < text_.size() && is_text_character(text_[at_])) ++at_;
    if (at_ == begin) refuse(wanted);
    expects(at_ - begin <= longest, [&] {
      return sentence("compressor text: '", shortened(std::string(text_.substr(begin, at_ - begin))), "' at position ",
                      begin + 1, " is too long for ", wanted);
    });
    return std::string(text_.substr(begin, at_ - begin));
  }
  [[CCOMP_SMALL]] stage_text_parts one_stage() {
    stage_text_parts s;
    s.name = word("a stage's name");
    if (take('<')) {
      s.argument = word("what stands between < and >");
      if (!take('>')) refuse("'>'");
    }
    if (take('(') && !take(')')) {
      do {
        stage_text_parts::setting one;
        one.value = word("a setting", longest_text_value);
        if (take('=')) {
          one.key = std::move(one.value);
          one.value = word("a value", longest_text_value);
        }
        s.settings.push_back(std::move(one));
      } while (take(','));
      if (!take(')')) refuse("',' or ')'");
    }
    skip_space();
    return s;
  }
  [[noreturn, gnu::cold]] void refuse(std::string const& wanted) const {
    std::string const found = at_ < text_.size() ? "'" + std::string(1, text_[at_]) + "'" : "the end";
    fail(sentence("compressor text: expected ", wanted, " at position ", at_ + 1, " of '",
                  shortened(std::string(text_)), "', found ", found));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace detail
CCOMP_END
