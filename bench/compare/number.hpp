#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace compare {

// "1 rank", "2 ranks"
inline std::string counted(std::size_t count, std::string const& word) {
  return std::to_string(count) + ' ' + word + (count == 1 ? "" : "s");
}

// Digits with at most one point, nothing else: no sign, no exponent, no "inf".
inline std::optional<double> parse_decimal(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  double value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A whole number from `least` to `most`.
inline std::optional<int> parse_whole(std::string_view text, int least, int most) {
  int value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value < least || value > most) return std::nullopt;
  return value;
}

}
