#pragma once

#include "options.hpp"
#include "result.hpp"

#include <string>

namespace perf {

std::string to_json(options const& wanted, run_result const& found);

}
