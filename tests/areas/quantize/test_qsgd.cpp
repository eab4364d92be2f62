#include <support/block_checks.hpp>
#include <support/saturation.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace ccomp;
using support::encoded;
using support::round_trip;

namespace {

static_assert(quantizer_stage<qsgd<2>> && quantizer_stage<qsgd<8>> && !linear<qsgd<4>> && qsgd<4>::is_unbiased);

float first_scale(std::vector<std::byte> const& payload) {
  float s;
  std::memcpy(&s, payload.data(), sizeof s);
  return s;
}
double norm_of(std::vector<float> const& x, level_norm norm) {
  double top = 0, squares = 0;
  for (double const v : x) {
    top = std::fmax(top, std::fabs(v));
    squares += v * v;
  }
  return norm == level_norm::max ? top : std::sqrt(squares);
}

/// One block: the scale is the norm over the levels; every value goes to a neighbouring level, and to the right one on
/// average.
template <int Bits> void check_levels(level_norm norm, std::vector<float> const& x) {
  qsgd<Bits> const c{.block = 1024, .norm = norm, .seed = 7};
  REQUIRE(x.size() <= c.block);
  double const levels = (1 << (Bits - 1)) - 1, exact = norm_of(x, norm) / levels;
  auto const scale = static_cast<double>(first_scale(encoded(c, x)));
  CAPTURE(text(c));
  CHECK(scale >= exact * (1 - 1e-6));
  CHECK(scale <= exact * (1 + 0x1p-14));
  std::vector<support::two_points> points;
  for (double const v : x) {
    double const low = std::floor(v / scale) * scale;
    points.push_back({low, low + scale, v, 0x1p-16 * scale});
  }
  int const steps = 300;
  for (int t = 0; t < 5; ++t) {
    auto const y = round_trip(c, x, {.at = t});
    for (std::size_t i = 0; i < x.size(); ++i) {
      double const level = static_cast<double>(y[i]) / scale;
      REQUIRE(level == std::round(level));
      REQUIRE(std::fabs(level) <= levels);
      REQUIRE(std::fabs(static_cast<double>(y[i]) - static_cast<double>(x[i])) < scale * (1 + 0x1p-16));
    }
  }
  CHECK(support::unbiased(support::mean_over_steps(c, x, steps), points, steps) == "");
}

}  // namespace

TEST_CASE("qsgd: text and sizes") {
  CHECK(text(qsgd<4>{}) == "qsgd<4>");
  CHECK(text(qsgd<3>{.block = 128, .norm = level_norm::l2, .seed = 5}) == "qsgd<3>(block=128, norm=l2, seed=5)");
  CHECK(payload_bytes(qsgd<3>{.block = 128}, 1000) == 32 + 384);
}

TEST_CASE("qsgd: the max norm is the stochastic uniform quantizer, byte for byte") {
  auto const x = support::heavy_tailed_values(5000);
  CHECK(encoded(qsgd<4>{.seed = 3}, x, {.at = 8}) ==
        encoded(uniform_quantize<4>{.round = rounding::stochastic, .seed = 3}, x, {.at = 8}));
}

TEST_CASE("qsgd: levels of the norm, unbiased") {
  for (auto norm : {level_norm::max, level_norm::l2}) {
    check_levels<2>(norm, support::gaussian_values(1024, 2));
    check_levels<4>(norm, support::heavy_tailed_values(777, 3));
    check_levels<8>(norm, support::gaussian_values(1024, 4));
  }
}

TEST_CASE("qsgd: by hand: 3-4-5 with the L2 norm") {
  std::vector<float> x(16, 0.0f);
  x[0] = 3;
  x[1] = -4;
  qsgd<8> const c{.block = 16, .norm = level_norm::l2};
  auto const scale = static_cast<double>(first_scale(encoded(c, x)));
  CHECK(scale == doctest::Approx(5.0 / 127).epsilon(1e-4));
  auto const y = round_trip(c, x);
  CHECK(std::fabs(y[0] - 3) < 0.04f);
  CHECK(std::fabs(y[1] + 4) < 0.04f);
  for (std::size_t i = 2; i < 16; ++i) CHECK(y[i] == 0);
}

TEST_CASE("qsgd: other steps, ranks, tensors and seeds draw other bits; the same ones repeat") {
  auto const x = support::gaussian_values(512);
  auto const base = encoded(qsgd<4>{}, x, {.at = 1});
  CHECK(encoded(qsgd<4>{}, x, {.at = 1}) == base);
  CHECK(encoded(qsgd<4>{}, x, {.at = 2}) != base);
  CHECK(encoded(qsgd<4>{}, x, {.at = 1, .rank = 1}) != base);
  CHECK(encoded(qsgd<4>{}, x, {.at = 1, .tensor = 1}) != base);
  CHECK(encoded(qsgd<4>{.seed = 1}, x, {.at = 1}) != base);
}

TEST_CASE("qsgd: blocks") {
  for (auto norm : {level_norm::max, level_norm::l2}) {
    CHECK(support::non_finite_stays_in_its_block(qsgd<4>{.block = 64, .norm = norm}, 64) == "");
    CHECK(support::finite_blocks_stay_finite(qsgd<8>{.norm = norm}, 1e38f) == "");
    CHECK(support::same_bits_everywhere(qsgd<5>{.norm = norm}) == "");
  }
  CHECK(support::finite_blocks_stay_finite(qsgd<8>{.norm = level_norm::l2}) == "");
}

TEST_CASE("qsgd: unbiased and not linear; feedback refuses the L2 norm of few levels; finite values stay finite") {
  static_assert(qsgd<4>::is_unbiased && !linear<qsgd<4>>);
  CHECK_THROWS_AS(error_feedback(top_k{} | qsgd<2>{.norm = level_norm::l2}, 1000), invalid_argument);
  support::stays_finite(qsgd<4>{.norm = level_norm::l2});
  support::stays_finite(qsgd<8>{.block = 16, .norm = level_norm::l2});
}
