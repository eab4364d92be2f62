#include <support/block_checks.hpp>
#include <support/float_bits.hpp>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace ccomp;
using support::round_trip;

static_assert(transform_stage<ccomp::scale> && linear<ccomp::scale>);

TEST_CASE("scale: text, sizes and settings") {
  CHECK(text(scale{.factor = 0.5f} | cast<float16>{}) == "scale(factor=0.5)|cast<float16>");
  CHECK(payload_bytes(scale{} | cast<float16>{}, 100) == 208);
  for (float const bad : {0.0f, -0.0f, support::inf, -support::inf, support::quiet_nan, 0x1p-127f, 0x1.000002p126f})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes(scale{.factor = bad}, 10)), invalid_argument);
  for (float const good : {0x1p-126f, 0x1p126f, -3.0f}) CHECK(payload_bytes(scale{.factor = good}, 10) == 48);
}

TEST_CASE("scale: the payload holds the products, decoding multiplies by the inverse") {
  auto const x = support::heavy_tailed_values(5001);
  for (float const factor : {3.0f, -0.1f, 1024.0f}) {
    auto const bytes = support::encoded(scale{.factor = factor}, x);
    auto const y = round_trip(scale{.factor = factor}, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      float product;
      std::memcpy(&product, bytes.data() + 4 * i, 4);
      REQUIRE(product == x[i] * factor);
      REQUIRE(y[i] == product * (1.0f / factor));
      REQUIRE(std::fabs(y[i] - x[i]) <= 0x1p-22f * std::fabs(x[i]));
    }
  }
  CHECK(round_trip(scale{.factor = 0x1p20f}, x) == x);
}

TEST_CASE("scale: brings small values into the range of float16") {
  std::vector<float> const x{0x1p-30f, -0x1.8p-28f};
  CHECK(round_trip(cast<float16>{}, x) == std::vector<float>{0.0f, 0.0f});
  CHECK(round_trip(scale{.factor = 0x1p20f} | cast<float16>{}, x) == x);
}

TEST_CASE("scale: the same everywhere") {
  CHECK(support::same_bits_everywhere(scale{.factor = 0.3f} | cast<float16>{}) == "");
  CHECK(support::same_bits_everywhere(scale{.factor = -7.0f}) == "");
}
