// expect: ccomp: cast takes float16, bfloat16, fp8_e4m3 or fp8_e5m2
#include <ccomp/quantize/cast.hpp>

ccomp::cast<double> const wrong{};
