// expect: ccomp needs C\+\+20
// flags: -std=c++17
#include <ccomp/core/config.hpp>
