#pragma once
/// Checks of messages.

#include <doctest/doctest.h>

#include <string>

namespace support {

/// Checks that `part` occurs in the text, and shows both if not.
inline bool has(std::string const& text, std::string const& part) {
  CAPTURE(text);
  CAPTURE(part);
  bool const found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace support
