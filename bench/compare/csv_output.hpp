#pragma once

#include <string>

#include "result.hpp"

namespace compare {

// A heading and one row per compressor; what does not exist is an empty cell.
std::string to_csv(comparison const& all);

}
