#include <support/clipped_range.hpp>
// The setting `clip` of uniform_quantize.
#include <support/block_checks.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/uniform.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace ccomp;
using support::encoded;
using support::round_trip;

namespace {

/// The scale of each block, as the payload has it.
std::vector<float> stored_scales(std::vector<std::byte> const& payload, std::size_t blocks) {
  std::vector<float> scales(blocks);
  std::memcpy(scales.data(), payload.data(), blocks * sizeof(float));
  return scales;
}
double squared_sum(std::vector<float> const& x) {
  double sum = 0;
  for (double const v : x) sum += v * v;
  return sum;
}
/// The error of the mean of `steps` outputs for a constant input, relative to the input.
template <class C> double error_of_mean(C const& c, std::vector<float> const& x, int steps) {
  host_exec const ex{1};
  workspace ws{ex};
  support::payload_buffer payload(payload_bytes(c, x.size()));
  std::vector<float> residual(x.size()), y(x.size());
  std::vector<double> sum(x.size());
  for (int t = 0; t < steps; ++t) {
    encode_feedback(ex, c, x, std::span(residual), payload, ws, {.at = t});
    decode(ex, c, payload, y, ws, {.at = t});
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += static_cast<double>(y[i]);
  }
  double off = 0;
  for (std::size_t i = 0; i < x.size(); ++i) off += std::pow(sum[i] / steps - static_cast<double>(x[i]), 2);
  return std::sqrt(off / squared_sum(x));
}

}  // namespace

TEST_CASE("clip: text, bias and what is refused") {
  CHECK(text(uniform_quantize<4>{.clip = 2.5f}) == "uniform_quantize<4>(clip=2.5)");
  CHECK(text(uniform_quantize<4>{.seed = 2, .clip = 3}) == "uniform_quantize<4>(seed=2, clip=3)");
  CHECK(payload_bytes(uniform_quantize<4>{.clip = 2.5f}, 5000) == payload_bytes(uniform_quantize<4>{}, 5000));
  CHECK(uniform_quantize<4>{.round = rounding::stochastic}.is_unbiased());
  CHECK_FALSE(uniform_quantize<4>{.round = rounding::stochastic, .clip = 3}.is_unbiased());
  CHECK_FALSE(uniform_quantize<4>{}.is_unbiased());
  for (float const bad : {-1.0f, 1e-3f, 1e9f, support::quiet_nan})
    CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes(uniform_quantize<4>{.clip = bad}, 10)),
                         doctest::Contains("uniform_quantize: clip must be 0 (none) or from 0.01 to 1e6, got "),
                         invalid_argument);
  CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes(uniform_quantize<1>{.clip = 2}, 10)),
                       doctest::Contains("clip needs range=symmetric"), invalid_argument);
}

TEST_CASE("clip: without it, frames are those of before there was one") {
  // Computed before the setting existed.
  CHECK(detail::stage_fingerprint(uniform_quantize<8>{}) == 0x16f8898308795795u);
  CHECK(detail::stage_fingerprint(uniform_quantize<4>{.block = 64, .round = rounding::stochastic, .seed = 9}) ==
        0x6ce0108e37d8084au);
  CHECK(fingerprint(uniform_quantize<1>{}) == 0xc3ab124b30c7a3b5u);
  CHECK(detail::stage_fingerprint(uniform_quantize<8>{.clip = 4}) !=
        detail::stage_fingerprint(uniform_quantize<8>{.clip = 5}));
}

TEST_CASE("clip: by hand") {
  std::vector<float> x(16, 0.0f);
  x[0] = 8, x[3] = -8, x[5] = 2, x[7] = 0.5f, x[9] = -1;
  // sigma = sqrt((64 + 64 + 4 + 0.25 + 1) / 16) = 2.886; the levels are 1 sigma / 3 = 0.962 apart
  uniform_quantize<3> const c{.block = 16, .clip = 1};
  float const scale = stored_scales(encoded(c, x), 1)[0];
  CHECK(static_cast<double>(scale) == doctest::Approx(std::sqrt(133.25 / 16) / 3).epsilon(1e-4));
  auto const y = round_trip(c, x);
  CHECK(y[0] == 3 * scale);
  CHECK(y[3] == -3 * scale);
  CHECK(y[5] == 2 * scale);
  CHECK(y[7] == scale);
  CHECK(y[9] == -scale);
  CHECK(y[1] == 0);
}

TEST_CASE("clip: scales end at the smaller of maximum and clip sigma, and no error exceeds its value") {
  std::size_t const block = 64, n = 20 * block + 7;
  for (float const clip : {0.01f, 0.7f, 1.5f, 2.5f, 4.0f})
    for (auto const& x : {support::gaussian_values(n, 5), support::heavy_tailed_values(n, 6)}) {
      uniform_quantize<4> const c{.block = block, .clip = clip};
      CAPTURE(text(c));
      auto const scales = stored_scales(encoded(c, x), 21);
      auto const y = round_trip(c, x);
      for (std::size_t b = 0; b < 21; ++b) {
        std::vector<float> const values(x.begin() + static_cast<std::ptrdiff_t>(b * block),
                                        x.begin() + static_cast<std::ptrdiff_t>(std::min(n, (b + 1) * block)));
        double const range = support::clipped_range(values, clip), scale = static_cast<double>(scales[b]);
        CHECK(scale * 7 >= range * (1 - 1e-6));
        CHECK(scale * 7 <= range * (1 + 0x1p-14));
        double error = 0, top = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
          double const v = static_cast<double>(values[i]), q = static_cast<double>(y[b * block + i]);
          double const clipped = std::fmax(-7 * scale, std::fmin(7 * scale, v));
          REQUIRE(std::fabs(q - clipped) <= scale * 0.5001);
          REQUIRE(std::fabs(v - q) <= std::fabs(v) * (1 + 1e-6));
          error += (v - q) * (v - q);
          top = std::fmax(top, std::fabs(v));
        }
        // The bound that contracts() proves. The scale was rounded up by up to 2^-15 of itself.
        CHECK(error <= squared_sum(values) - top * range * (1 - 0x1p-13));
      }
    }
}

TEST_CASE("clip: beyond maximum / sigma it changes no byte") {
  auto const same = []<int Bits>(std::integral_constant<int, Bits>) {
    for (auto const round : {rounding::nearest, rounding::stochastic})
      for (auto const& each : support::finite_cases(2100)) {
        CAPTURE(Bits);
        CAPTURE(each.name);
        // No value of a block of 512 exceeds sqrt(512) sigma.
        CHECK(encoded(uniform_quantize<Bits>{.round = round, .clip = 23}, each.values, {.at = 3}) ==
              encoded(uniform_quantize<Bits>{.round = round}, each.values, {.at = 3}));
      }
  };
  [&]<int... B>(std::integer_sequence<int, B...>) {
    (same(std::integral_constant<int, B + 2>{}), ...);
  }(std::make_integer_sequence<int, 7>{});
}

TEST_CASE("clip: at random, values beyond the range get the last level, others are unbiased") {
  auto const x = support::heavy_tailed_values(512, 8);
  uniform_quantize<3> const c{.round = rounding::stochastic, .seed = 3, .clip = 1.5f};
  auto const s = static_cast<double>(stored_scales(encoded(c, x), 1)[0]);
  std::vector<support::two_points> points;
  for (double const v : x) {
    double const clipped = std::fmax(-3 * s, std::fmin(3 * s, v)), low = std::fmin(std::floor(clipped / s), 2.0) * s;
    points.push_back({low, low + s, clipped, 0x1p-15 * s});
  }
  CHECK(support::unbiased(support::mean_over_steps(c, x, 300), points, 300) == "");
}

TEST_CASE("clip: the hardest clipping of the longest block overflows no code") {
  for (auto const round : {rounding::nearest, rounding::stochastic}) {
    std::vector<float> x(4096, 0.0f);
    x[1000] = -3e38f;
    uniform_quantize<8> const c{.block = 4096, .round = round, .clip = 0.01f};
    auto const y = round_trip(c, x);
    CHECK(y[1000] == doctest::Approx(-3e38 * 0.01 / 64).epsilon(1e-4));
    CHECK(std::count(y.begin(), y.end(), 0.0f) == 4095);
  }
}

TEST_CASE("clip: blocks") {
  CHECK(support::non_finite_stays_in_its_block(uniform_quantize<5>{.block = 64, .clip = 2}, 64) == "");
  for (auto const round : {rounding::nearest, rounding::stochastic}) {
    uniform_quantize<4> const c{.round = round, .clip = 2.5f};
    CHECK(support::finite_blocks_stay_finite(c) == "");
    CHECK(support::same_bits_everywhere(c) == "");
  }
}

TEST_CASE("clip: with feedback the mean of T outputs converges as 1/T") {
  auto const x = support::heavy_tailed_values(1500, 9);
  CHECK(error_of_mean(uniform_quantize<4>{.clip = 2}, x, 64) > 0);
  auto const check = [&](auto const& c) {
    CAPTURE(text(c));
    // |residual| is bounded, so the error is at most that over T. The residual first has to fill: 64 steps of it.
    CHECK(error_of_mean(c, x, 1024) <= error_of_mean(c, x, 64) / 16 * 2);
  };
  check(uniform_quantize<4>{.clip = 2});
  check(uniform_quantize<2>{.clip = 1.2f});
  check(uniform_quantize<4>{.round = rounding::stochastic, .clip = 3});
}
