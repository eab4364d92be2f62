#include <support/block_checks.hpp>

#include <ccomp/quantize/sign.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace ccomp;
using support::bits_of;
using support::round_trip;

namespace {

static_assert(quantizer_stage<sign_quantize> && !linear<sign_quantize>);
constexpr sign_scale all_scales[] = {sign_scale::l1_mean, sign_scale::two_means, sign_scale::l2};

std::vector<double> oracle(std::vector<float> const& x, std::size_t block, sign_scale scale) {
  std::vector<double> y(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += block) {
    std::size_t const end = std::min(x.size(), begin + block);
    double sums[2] = {}, counts[2] = {}, squares = 0;
    for (std::size_t i = begin; i < end; ++i) {
      sums[x[i] < 0] += static_cast<double>(x[i]);
      counts[x[i] < 0] += 1;
      squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    double const n = counts[0] + counts[1], l1 = (sums[0] - sums[1]) / n, l2 = std::sqrt(squares / n);
    for (std::size_t i = begin; i < end; ++i) {
      bool const negative = x[i] < 0;
      if (scale == sign_scale::two_means)
        y[i] = sums[negative] / counts[negative];
      else
        y[i] = (negative ? -1 : 1) * (scale == sign_scale::l1_mean ? l1 : l2);
    }
  }
  return y;
}

double squared_error(std::vector<float> const& x, std::vector<float> const& y) {
  double e = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    e += d * d;
  }
  return e;
}

}  // namespace

TEST_CASE("sign_quantize: text and sizes") {
  CHECK(text(sign_quantize{}) == "sign_quantize");
  CHECK(text(sign_quantize{.block = 64, .scale = sign_scale::two_means}) == "sign_quantize(block=64, scale=two_means)");
  CHECK(payload_bytes(sign_quantize{}, 3000) == 16 + 384);
  CHECK(payload_bytes(sign_quantize{.scale = sign_scale::two_means}, 3000) == 32 + 384);
}

TEST_CASE("sign_quantize: by hand, zeros of either sign counting as positive") {
  std::vector<float> x(16, 0.0f);
  x[0] = 3, x[1] = -5, x[2] = -0.0f, x[3] = -3;
  auto const l1 = round_trip(sign_quantize{.block = 16}, x);
  auto const two = round_trip(sign_quantize{.block = 16, .scale = sign_scale::two_means}, x);
  auto const l2 = round_trip(sign_quantize{.block = 16, .scale = sign_scale::l2}, x);
  for (std::size_t i = 0; i < 16; ++i) {
    bool const negative = i == 1 || i == 3;
    CHECK(l1[i] == (negative ? -0.6875f : 0.6875f));  // 11 / 16
    CHECK(two[i] == (negative ? -4.0f : 3.0f / 14));
    CHECK(l2[i] == doctest::Approx((negative ? -1 : 1) * std::sqrt(43.0 / 16)));
  }
}

TEST_CASE("sign_quantize: the three scales against their formulas, short blocks included") {
  for (auto scale : all_scales)
    for (std::size_t n : {1u, 2u, 31u, 1023u, 1025u, 3000u})
      for (auto const& x : {support::gaussian_values(n, 2), support::heavy_tailed_values(n, 3),
                            std::vector<float>(n, -0.3f), std::vector<float>(n, 1e30f)}) {
        auto const y = round_trip(sign_quantize{.scale = scale}, x);
        auto const want = oracle(x, 1024, scale);
        for (std::size_t i = 0; i < n; ++i)
          REQUIRE(std::fabs(static_cast<double>(y[i]) - want[i]) <= 1e-6 * std::fabs(want[i]));
      }
}

TEST_CASE("sign_quantize: L1 mean and two means are contractions by 1/block, tight for a spike") {
  std::vector<float> spike(1024, 0.0f);
  spike[77] = -2.5f;
  for (auto scale : {sign_scale::l1_mean, sign_scale::two_means}) {
    sign_quantize const c{.scale = scale};
    CHECK(c.contraction(1 << 20) == 1.0 / 1024);
    CHECK(c.contraction(100) == 1.0 / 100);
    for (auto const& x : {spike, support::gaussian_values(5000), support::heavy_tailed_values(5000)}) {
      auto const y = round_trip(c, x);
      double const kept = 1 - c.contraction(x.size());
      CHECK(squared_error(x, y) <= kept * squared_error(x, std::vector<float>(x.size())) * (1 + 1e-9));
    }
  }
  CHECK(squared_error(spike, round_trip(sign_quantize{}, spike)) == doctest::Approx(6.25 * (1 - 1.0 / 1024)));
  sign_quantize const l2{.scale = sign_scale::l2};
  CHECK(l2.contraction(1024) == doctest::Approx(2.0 / 32 - 1));
  CHECK(squared_error(spike, round_trip(l2, spike)) > 6.25);  // promised nothing, and keeps nothing
}

TEST_CASE("sign_quantize: no scale has a smaller error than the L1 mean, two means excepted") {
  auto const x = support::heavy_tailed_values(1024, 9);
  auto const y = round_trip(sign_quantize{}, x);
  double const best = squared_error(x, y);
  for (float const factor : {0.9f, 0.99f, 1.01f, 1.1f}) {
    auto other = y;
    for (auto& v : other) v *= factor;
    CHECK(squared_error(x, other) > best);
  }
  CHECK(squared_error(x, round_trip(sign_quantize{.scale = sign_scale::l2}, x)) > best);
  CHECK(squared_error(x, round_trip(sign_quantize{.scale = sign_scale::two_means}, x)) <= best);
}

TEST_CASE("sign_quantize: a sum of |x| beyond the largest float is not finite, a mean of squares never is") {
  std::vector<float> const x(64, 3e38f);
  for (float const v : round_trip(sign_quantize{}, x)) REQUIRE(std::isnan(v));
  for (float const v : round_trip(sign_quantize{.scale = sign_scale::l2}, x)) REQUIRE(v == doctest::Approx(3e38));
}

TEST_CASE("sign_quantize: blocks") {
  for (auto scale : all_scales) {
    sign_quantize const c{.block = 64, .scale = scale};
    CHECK(support::non_finite_stays_in_its_block(c, 64) == "");
    CHECK(support::finite_blocks_stay_finite(c, scale == sign_scale::l2 ? std::numeric_limits<float>::max() : 1e35f) ==
          "");
    CHECK(support::same_bits_everywhere(sign_quantize{.scale = scale}) == "");
  }
}
