#pragma once
/// The inputs of ccomp's suites for implementers, for our own tests.

#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <ccomp/testing/inputs.hpp>

namespace support {

using ccomp::testing::finite_typed_cases;
using ccomp::testing::from_pattern;
using ccomp::testing::largest_value;
using ccomp::testing::narrowed;
using ccomp::testing::same_gaussian_values;
using ccomp::testing::spoilt_cases;

}  // namespace support
