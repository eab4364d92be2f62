// expect: transform needs: std::uint32_t block, the values it mixes
#include <ccomp/core/concepts.hpp>
#include <ccomp/core/statistic.hpp>

#include <tuple>

struct half_done {
  static constexpr std::string_view name = "half_done";
  static constexpr auto fields() { return std::tuple{}; }
  void forward(ccomp::instruction_set, float*, std::size_t, std::uint64_t, ccomp::pass_options) const {}
  void inverse(ccomp::instruction_set, float*, std::size_t, std::uint64_t, ccomp::pass_options) const {}
};
static_assert(ccomp::check_stage<half_done>());
