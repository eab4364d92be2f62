#include <doctest/doctest.h>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>
#include <cmath>
#include <limits>
#include <support/codec.hpp>
#include <support/float_bits.hpp>

using namespace ccomp;

namespace {

/// Values of up to `top`: all alike, of both signs, and mixed.
template <class T> std::vector<std::vector<T>> large_values(float top) {
  std::vector<std::vector<T>> all(3, std::vector<T>(1100));
  for (std::size_t i = 0; i < 1100; ++i) {
    all[0][i] = T(top);
    all[1][i] = T(i % 2 ? -top : top);
    all[2][i] = T(i % 7 == 0 ? top : i % 3 ? -top / 3 : top / 5);
  }
  return all;
}
template <class T> std::size_t not_finite(std::vector<T> const& x) {
  return static_cast<std::size_t>(std::ranges::count_if(x, [](T v) { return !std::isfinite(static_cast<float>(v)); }));
}
template <class T, class C> void stays_finite(C const& c, float top) {
  CAPTURE(text(c));
  CAPTURE(top);
  for (auto const& x : large_values<T>(top)) CHECK(not_finite(support::round_trip(c, x)) == 0);
}
template <class C> void stays_finite(C const& c, bool mixes = false) {
  for (float top : {40000.0f, 60000.0f, 65504.0f}) stays_finite<float16>(c, top);
  if (mixes) return;  // sums of a block would leave the range of float
  for (float top : {3e38f, 0x1.fep127f}) stays_finite<bfloat16>(c, top);
  for (float top : {70000.0f, 3e38f, std::numeric_limits<float>::max()}) stays_finite<float>(c, top);
}

}  // namespace

TEST_CASE("finite values decode to finite values of the tensor's type") {
  stays_finite(natural{});
  stays_finite(uniform_quantize<8>{});
  stays_finite(uniform_quantize<3>{.round = rounding::stochastic});
  stays_finite(uniform_quantize<8>{.range = code_range::min_max});
  stays_finite(uniform_quantize<2>{.round = rounding::stochastic, .range = code_range::min_max});
  stays_finite(qsgd<4>{});
  stays_finite(qsgd<4>{.norm = level_norm::l2});
  stays_finite(qsgd<8>{.block = 16, .norm = level_norm::l2});
  stays_finite(sign_quantize{}, true);
  stays_finite(sign_quantize{.scale = sign_scale::two_means}, true);
  stays_finite(sign_quantize{.scale = sign_scale::l2});
  stays_finite(ternary{});
  stays_finite(shared_scale_quantize<4>{.round = rounding::stochastic});
  stays_finite(cast<fp8_e4m3>{});
  stays_finite(cast<fp8_e5m2>{});
  stays_finite(cast<float16>{});
  stays_finite(cast<bfloat16>{});
}
TEST_CASE("finite values decode to finite values behind transforms and sparsifiers") {
  stays_finite(sign_flip{} | natural{});
  stays_finite(scale{0x1p-120f} | cast<bfloat16>{}, true);
  stays_finite(hadamard_rotate{} | uniform_quantize<4>{}, true);
  stays_finite(hadamard_rotate{} | cast<bfloat16>{}, true);
  stays_finite(top_k{.ratio = 0.1} | natural{});
  stays_finite(top_k{.ratio = 0.1} | cast<bfloat16>{});
  stays_finite(random_k{.ratio = 0.1, .unbiased = true});
  stays_finite(random_k{.ratio = 0.1, .unbiased = true} | natural{});
  stays_finite(random_block{.ratio = 0.1, .unbiased = true});
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
  CHECK(not_finite(support::round_trip(natural{}, poisoned)) == 1024);
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
  [&]<int... B>(std::integer_sequence<int, B...>) { (width(std::integral_constant<int, B + 1>{}), ...); }
  (std::make_integer_sequence<int, 8>{});
}
