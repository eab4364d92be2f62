// Prints name, argument and settings of every stage, for the check that each has its page.
#include <ccomp/any_compressor.hpp>
#include <cstdio>
#if __has_include(<Eigen/Core>)
#include <ccomp/low_rank/power_sgd.hpp>
#endif

int main() {
  ccomp::stage_registry known = ccomp::stage_registry::standard();
#if __has_include(<Eigen/Core>)
  known.add<ccomp::power_sgd>("");
#endif
  for (auto const& s : known.entries())
    std::printf("%s\t%s\t%s\n", s.name.c_str(), s.argument.c_str(), s.settings.c_str());
}
