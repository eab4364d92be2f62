#pragma once
/// Settings from data: the clip of a quantizer, the fewest bits for an error, a budget of bits over tensors. On the host.

#include <ccomp/fit/bit_budget.hpp>
#include <ccomp/fit/clip.hpp>
#include <ccomp/fit/error_target.hpp>
#include <ccomp/fit/measurement.hpp>
#include <ccomp/fit/percentile.hpp>
#include <ccomp/fit/samples.hpp>
#include <ccomp/fit/train_codebook.hpp>
