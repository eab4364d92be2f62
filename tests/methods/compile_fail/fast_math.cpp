// expect: ccomp cannot keep its guarantees .* under -ffast-math
// flags: -ffast-math
#include <ccomp/core/config.hpp>
