#pragma once

#include "user_error.hpp"

#include <ccomp/core/error.hpp>

#include <string>

namespace compare {

// The library's messages end with the place in its source, which tells a user of this program nothing.
inline std::string sentence(ccomp::error const& e) {
  std::string text = e.what();
  if (auto const place = text.rfind(" ["); place != std::string::npos && text.back() == ']') text.resize(place);
  for (std::string const prefix : {"ccomp: ", "compressor text: "}) {
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  }
  return text + '.';
}

// What the library refuses is the user's choice of compressor for this input.
template <typename Call> auto refusing(std::string const& compressor, Call&& call) {
  try {
    return call();
  } catch (ccomp::error const& e) {
    throw user_error("the compressor '" + compressor + "' cannot be used: " + sentence(e));
  }
}

}
