// expect: ccomp: train_codebook trains words of 2, 4 or 8 values
#include <ccomp/fit/train_codebook.hpp>

auto const wrong = ccomp::train_codebook<3, 8>({}, std::vector<float>{1, 2, 3});
