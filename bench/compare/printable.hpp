#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace compare {

// What comes from a command line or a file may hold anything, and a terminal obeys control characters. This is the text
// with '?' for each of them: ASCII's, those of Unicode (C1 and what turns the direction of writing), and every byte that
// is no UTF-8.
inline std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    auto const first = byte(0);
    std::size_t const length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    bool good = length > 0 && length <= text.size() - at;
    for (std::size_t i = 1; good && i < length; ++i) good = (byte(i) & 0xc0U) == 0x80;
    if (!good) {
      shown += '?';
      ++at;
      continue;
    }
    unsigned code = length == 1 ? first : first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) code = code << 6 | (byte(i) & 0x3fU);
    bool const overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    bool const no_character = overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff;
    bool const control = code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
                         code == 0x200e || code == 0x200f || (code >= 0x2066 && code <= 0x2069);
    if (control || no_character) {
      shown += '?';
    } else {
      shown += text.substr(at, length);
    }
    at += length;
  }
  return shown;
}

}
