// expect: decoder\(\) must return pieces with the same parameters
#include <ccomp/codec.hpp>

struct other_codes {
  struct parameters {
    float scale, middle;
  };
  float value(std::uint32_t, parameters p) const { return p.scale; }
};
struct misread {
  static constexpr std::string_view name = "misread";
  static constexpr auto fields() { return std::tuple{}; }
  using statistic = ccomp::max_abs;
  struct parameters {
    float scale;
  };
  static constexpr int bits = 4;
  std::uint32_t block = 512;
  parameters fit(ccomp::max_abs m, std::size_t) const { return {m.value()}; }
  std::uint32_t code(float, parameters, std::uint32_t) const { return 0; }
  float value(std::uint32_t, parameters p) const { return p.scale; }
  other_codes decoder() const { return {}; }
};

std::string text_of() { return ccomp::text(misread{}); }
