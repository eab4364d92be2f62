#pragma once

#include "result.hpp"

#include <string>

namespace compare {

// A heading and one row per compressor; what does not exist is an empty cell.
std::string to_csv(comparison const& all);

}
