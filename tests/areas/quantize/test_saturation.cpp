#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/saturation.hpp>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace ccomp;

TEST_CASE("finite values decode to finite values beside those of the list") {
  support::stays_finite(uniform_quantize<3>{.round = rounding::stochastic});
  support::stays_finite(uniform_quantize<2>{.round = rounding::stochastic, .range = code_range::min_max});
  support::stays_finite(scale{0x1p-120f} | cast<bfloat16>{}, false);
}

TEST_CASE("saturated values are the type's largest, and what is not finite stays what it was") {
  auto const y =
      support::round_trip(cast<float16>{}, std::vector<float>{1e9f, -65505.0f, support::inf, -support::inf, 5.0f});
  CHECK(y == std::vector<float>{65504.0f, -65504.0f, support::inf, -support::inf, 5.0f});
  std::vector<float16> const x{float16(65440.0f), float16(-65440.0f), float16(support::inf)};
  auto const z = support::round_trip(cast<bfloat16>{}, x);
  CHECK(z[0] == float16(65504.0f));
  CHECK(z[1] == float16(-65504.0f));
  CHECK(z[2] == float16(support::inf));
  CHECK(support::round_trip(scale{1e30f} | cast<bfloat16>{}, std::vector<float>{support::inf})[0] == support::inf);
  std::vector<float16> poisoned(1024, float16(60000.0f));
  poisoned[5] = float16(support::inf);
  CHECK(support::not_finite(support::round_trip(uniform_quantize<8>{.block = 1024}, poisoned)) == 1024);
}

TEST_CASE("codes of blocks near 2^-118 are as fine as their scale") {
  auto const check = [](auto const& c, int levels, bool stochastic) {
    CAPTURE(text(c));
    bool const symmetric = c.range == code_range::symmetric;
    for (int e = -118; e <= -110; ++e)
      for (int kind = 0; kind < 3; ++kind) {
        std::vector<float> x(512);
        for (int i = 0; i < 512; ++i)
          x[std::size_t(i)] = std::ldexp(kind == 0   ? float(i - 256) / 256
                                         : kind == 1 ? 1 + float(i) / 512
                                                     : -float(i) / 300,
                                         e);
        auto const y = support::round_trip(c, x);
        auto const [low, high] = std::ranges::minmax(x);
        double const span =
            symmetric ? std::max(std::abs(double(low)), std::abs(double(high))) : double(high) - double(low);
        // Scales are rounded up to 16 bits; below 2^-126 they have no inverse, and the middle stands for the block.
        double const exact = span / levels;
        double const scale = !symmetric && exact < 0x1p-126 ? span : exact * (1 + 0x1p-14);
        for (std::size_t i = 0; i < 512; ++i)
          REQUIRE(std::abs(double(y[i]) - double(x[i])) <= scale * (stochastic ? 1.001 : 0.501) + 0x1p-140);
      }
  };
  auto const width = [&]<int Bits>(std::integral_constant<int, Bits>) {
    for (auto round : {rounding::nearest, rounding::stochastic}) {
      bool const at_random = round == rounding::stochastic;
      check(uniform_quantize<Bits>{.round = round, .range = code_range::min_max}, (1 << Bits) - 1, at_random);
      if constexpr (Bits > 1) check(uniform_quantize<Bits>{.round = round}, (1 << (Bits - 1)) - 1, at_random);
    }
  };
  [&]<int... B>(std::integer_sequence<int, B...>) {
    (width(std::integral_constant<int, B + 1>{}), ...);
  }(std::make_integer_sequence<int, 8>{});
}
