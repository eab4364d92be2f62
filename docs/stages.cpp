// Prints name, argument and settings of every stage, for the check that each has its page.
#include <ccomp/any_compressor.hpp>
#include <cstdio>
#include <ccomp/low_rank/als.hpp>  // joins, as those below
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>
#if __has_include(<Eigen/Core>)
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#endif

int main() {
  for (auto const& s : ccomp::known_stages())
    std::printf("%s\t%s\t%s\n", s.name.c_str(), s.argument.c_str(), s.settings.c_str());
}
