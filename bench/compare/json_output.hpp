#pragma once

#include "result.hpp"

#include <string>

namespace compare {

// Numbers that do not exist (an error relative to nothing, feedback refused) are null; a break-even speed is a number
// in Gbit/s, "always" or "never".
std::string to_json(comparison const& all);

}
