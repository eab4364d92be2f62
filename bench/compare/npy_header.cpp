#include "npy_header.hpp"

#include <limits>
#include <stdexcept>

namespace compare {
namespace {

// Reads the few Python literals that NumPy writes; everything else is refused, because the file may be anything.
class literal_reader {
 public:
  explicit literal_reader(std::string_view text) : text_(text) {}

  bool take(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void need(char wanted) {
    if (!take(wanted)) throw std::invalid_argument(std::string("its header lacks a '") + wanted + "'");
  }

  std::string quoted() {
    char const quote = take('"') ? '"' : '\'';
    if (quote == '\'') need('\'');
    auto const end = text_.find(quote, at_);
    if (end == std::string_view::npos) throw std::invalid_argument("its header has a string without an end");
    std::string const value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    skip_space();
    for (auto const word : {std::string_view("True"), std::string_view("False")}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    throw std::invalid_argument("its header's 'fortran_order' is neither True nor False");
  }

  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> values;
    need('(');
    while (!take(')')) {
      values.push_back(number());
      if (!take(',')) {
        need(')');
        break;
      }
    }
    return values;
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  std::uint64_t number() {
    skip_space();
    auto constexpr limit = std::numeric_limits<std::uint64_t>::max();
    auto const first = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      auto const digit = static_cast<std::uint64_t>(text_[at_] - '0');
      if (value > (limit - digit) / 10) throw std::invalid_argument("its header's 'shape' has a number too large");
      value = value * 10 + digit;
    }
    if (at_ == first) throw std::invalid_argument("its header's 'shape' is no tuple of numbers");
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}

npy_header parse_npy_header(std::string_view text) {
  literal_reader reader(text);
  npy_header header;
  bool has_descr = false;
  bool has_order = false;
  bool has_shape = false;
  reader.need('{');
  while (!reader.take('}')) {
    auto const key = reader.quoted();
    reader.need(':');
    if (key == "descr" && !has_descr) {
      if (reader.take('[')) throw std::invalid_argument("it holds records, not plain numbers");
      header.descr = reader.quoted();
      has_descr = true;
    } else if (key == "fortran_order" && !has_order) {
      header.fortran_order = reader.boolean();
      has_order = true;
    } else if (key == "shape" && !has_shape) {
      header.shape = reader.tuple();
      has_shape = true;
    } else {
      throw std::invalid_argument("its header has a key that is unknown or given twice");
    }
    if (!reader.take(',')) {
      reader.need('}');
      break;
    }
  }
  if (!reader.at_end()) throw std::invalid_argument("its header has text after the closing '}'");
  if (!has_descr) throw std::invalid_argument("its header has no key 'descr'");
  if (!has_order) throw std::invalid_argument("its header has no key 'fortran_order'");
  if (!has_shape) throw std::invalid_argument("its header has no key 'shape'");
  return header;
}

}
