#pragma once

#include "measure.hpp"

#include <ccomp/any_compressor.hpp>
#include <ccomp/collectives.hpp>

#include <string>

namespace compare {

// The type of the options is the library's; every timed call draws the same random bits.
ccomp::allreduce_options const sum_options{.op = ccomp::reduction::sum, .at = 0};

// Of all stages that the library has for the host.
ccomp::any_compressor parse(std::string const& text);

// Each rank of one process gets its share of the cores, or of --threads.
ccomp::host_exec exec_of_a_rank(measure_settings const& settings, int ranks);

}
