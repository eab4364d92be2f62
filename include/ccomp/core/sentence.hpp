#pragma once
/// Sentences of exceptions, made of text and whole numbers by one function: each chain of + in its place would be code of
/// its own to compile, and there are more than a hundred.

#include <ccomp/core/config.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

CCOMP_BEGIN
namespace detail {

/// Text that outlives the call, or a number.
class sentence_part {
 public:
  sentence_part(std::string_view text) : text_(text) {}
  sentence_part(std::string const& text) : text_(text) {}
  sentence_part(char const* text) : text_(text) {}
  template <std::unsigned_integral T> sentence_part(T n) : kind_(number), number_(n) {}
  template <std::signed_integral T>
  requires(sizeof(T) > 1)  // char is text
  sentence_part(T n) : kind_(n < 0 ? negative_number : number), number_(static_cast<std::uint64_t>(n)) {
    if (n < 0) number_ = 0 - number_;
  }

  void append_to(std::string& all) const;

 private:
  enum kind { words, number, negative_number };
  kind kind_ = words;
  std::string_view text_;
  std::uint64_t number_ = 0;
};

std::string joined(std::span<sentence_part const> parts);
/// `sentence("the payload has ", bytes, " bytes")`
template <class... Parts> [[CCOMP_SMALL]] std::string sentence(Parts const&... parts) {
  std::array<sentence_part, sizeof...(Parts)> const all{sentence_part(parts)...};
  return joined(all);
}

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void sentence_part::append_to(std::string& all) const {
  if (kind_ == words) {
    all += text_;
  } else {
    if (kind_ == negative_number) all += '-';
    all += std::to_string(number_);
  }
}
[[CCOMP_SMALL]] CCOMP_FUNCTION std::string joined(std::span<sentence_part const> parts) {
  std::string all;
  for (auto const& part : parts) part.append_to(all);
  return all;
}
#endif

}  // namespace detail
CCOMP_END
