#pragma once

#include "result.hpp"
#include "world.hpp"

#include <cstddef>
#include <string>

namespace network {

std::string to_json(measurement const& found, world const& all, std::size_t n);

}
