#pragma once

#include "gradients.hpp"
#include "options.hpp"
#include "result.hpp"

#include <functional>
#include <string>

namespace compare {

// Measures every compressor: first all exact numbers, so that a compressor the library refuses ends the run at once.
comparison compare_all(options const& wanted, gradients const& input,
                       std::function<void(std::string const&)> const& report);

}
