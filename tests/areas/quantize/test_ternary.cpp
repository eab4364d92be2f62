#include <support/block_checks.hpp>
#include <support/clipped_range.hpp>
#include <support/float_bits.hpp>

#include <ccomp/quantize/ternary.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

using namespace ccomp;
using support::encoded;
using support::round_trip;

namespace {

static_assert(quantizer_stage<ternary> && !linear<ternary>);

}  // namespace

TEST_CASE("ternary: text, sizes and settings") {
  CHECK(text(ternary{}) == "ternary");
  CHECK(text(ternary{.clip = 0, .seed = 2}) == "ternary(clip=0, seed=2)");
  CHECK(payload_bytes(ternary{}, 5000) == 48 + 1264);
  CHECK(ternary{.clip = 0}.is_unbiased());
  CHECK_FALSE(ternary{}.is_unbiased());
  for (float const bad : {-1.0f, 1e-3f, 1e9f, support::quiet_nan})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes(ternary{.clip = bad}, 10)), invalid_argument);
  CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes(ternary{.clip = 0.0099999f}, 10)),
                       doctest::Contains("to 1e6, got 0.0099999"), invalid_argument);
  static_assert(!linear<ternary>);
}

TEST_CASE("ternary: values are -s, 0 and s; unbiased for the clipped values") {
  for (float const clip : {0.0f, 2.5f, 1.0f, 0.01f})
    for (auto const& x : {support::gaussian_values(512, 2), support::heavy_tailed_values(300, 3)}) {
      ternary const c{.clip = clip, .seed = 4};
      CAPTURE(text(c));
      double const exact = support::clipped_range(x, clip);
      float stored;
      std::memcpy(&stored, encoded(c, x).data(), sizeof stored);
      auto const s = static_cast<double>(stored);
      CHECK(s >= exact * (1 - 1e-6));
      CHECK(s <= exact * (1 + 0x1p-14));
      std::vector<support::two_points> points;
      for (double const v : x) {
        double const clipped = std::fmax(-s, std::fmin(s, v));
        points.push_back({clipped < 0 ? -s : 0.0, clipped < 0 ? 0.0 : s, clipped, 0x1p-16 * s});
      }
      for (int t = 0; t < 5; ++t) {
        auto const y = round_trip(c, x, {.at = t});
        for (std::size_t i = 0; i < x.size(); ++i) {
          REQUIRE((y[i] == 0 || std::fabs(y[i]) == stored));
          REQUIRE((y[i] == 0 || std::signbit(y[i]) == std::signbit(x[i])));
        }
      }
      int const steps = 400;
      CHECK(support::unbiased(support::mean_over_steps(c, x, steps), points, steps) == "");
    }
}

TEST_CASE("ternary: by hand") {
  std::vector<float> x(16, 0.0f);
  x[0] = 2, x[5] = -2;
  for (int t = 0; t < 50; ++t) CHECK(round_trip(ternary{.block = 16, .clip = 0}, x, {.at = t}) == x);
  // sigma = sqrt(8 / 16); clip 2.5 sigma = 1.77
  auto const y = round_trip(ternary{.block = 16}, x);
  CHECK(y[0] == doctest::Approx(2.5 * std::sqrt(0.5)).epsilon(1e-4));
  CHECK(y[5] == -y[0]);
}

TEST_CASE("ternary: a block of equal values is not clipped away") {
  std::vector<float> const x(512, -0.25f);
  CHECK(round_trip(ternary{}, x) == x);
}

TEST_CASE("ternary: the hardest clipping of the longest block overflows no code") {
  std::vector<float> x(4096, 0.0f);
  x[1000] = -3e38f;
  ternary const c{.block = 4096, .clip = 0.01f};
  auto const y = round_trip(c, x);
  CHECK(y[1000] == doctest::Approx(-3e38 * 0.01 / 64).epsilon(1e-4));
  CHECK(std::count(y.begin(), y.end(), 0.0f) == 4095);
}

TEST_CASE("ternary: blocks") {
  CHECK(support::non_finite_stays_in_its_block(ternary{.block = 64}, 64) == "");
  for (float const clip : {0.0f, 2.5f}) {
    CHECK(support::finite_blocks_stay_finite(ternary{.clip = clip}) == "");
    CHECK(support::same_bits_everywhere(ternary{.clip = clip}) == "");
  }
}
