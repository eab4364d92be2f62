// expect: transform needs: forward and inverse \(instruction_set, float\* x, std::size_t n
#include <ccomp/core/concepts.hpp>
#include <ccomp/core/statistic.hpp>

#include <tuple>

struct half_done {
  static constexpr std::string_view name = "half_done";
  static constexpr auto fields() { return std::tuple{}; }
  std::uint32_t block = 512;
  void forward(ccomp::instruction_set, float*, std::size_t, std::uint64_t, ccomp::pass_options) const {}
};
static_assert(ccomp::check_stage<half_done>());
