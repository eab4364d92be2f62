#pragma once
/// Memory with canaries, for our own tests.

#include <ccomp/testing/guarded.hpp>

namespace support {

using ccomp::testing::guarded;

}  // namespace support
