// expect: a stage must be copyable; it holds settings, not buffers
#include <ccomp/core/concepts.hpp>
#include <ccomp/core/statistic.hpp>

#include <tuple>

struct half_done {
  static constexpr std::string_view name = "half_done";
  static constexpr auto fields() { return std::tuple{}; }
  using statistic = ccomp::max_abs;
  struct parameters {
    float scale;
  };
  static constexpr int bits = 4;
  std::uint32_t block = 512;
  parameters fit(ccomp::max_abs m, std::size_t) const { return {m.value()}; }
  std::uint32_t code(float, parameters, std::uint32_t) const { return 0; }
  float value(std::uint32_t, parameters) const { return 0; }
  half_done(half_done const&) = delete;
};
static_assert(ccomp::check_stage<half_done>());
