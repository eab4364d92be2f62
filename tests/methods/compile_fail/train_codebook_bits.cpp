// expect: ccomp: train_codebook trains 2\^1 to 2\^16 words
#include <ccomp/fit/train_codebook.hpp>

auto const wrong = ccomp::train_codebook<8, 17>({}, std::vector<float>{1, 2, 3});
