#include "../program.hpp"

namespace compare {

program const& this_program() {
  static program const one = {
      "ccomp-compare",
      "1gbit,10gbit,100gbit,400gbit",
      "10gbit",
      64,
      "as medians, each repetition interleaved with the yardsticks over the same array with the same "
      "threads: \"read\" finds the largest |x|, \"copy\" copies the bytes.",
      "alone with --threads (what the others send comes from memory, and its arrival is not "
      "counted)",
      {}};
  return one;
}

void describe_machine(environment&) {}

}
