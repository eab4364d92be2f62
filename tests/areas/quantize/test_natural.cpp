#include <support/block_checks.hpp>
#include <support/float_bits.hpp>
#include <support/saturation.hpp>

#include <ccomp/quantize/natural.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace ccomp;
using support::bits_of;
using support::encoded;
using support::round_trip;

namespace {

static_assert(quantizer_stage<natural> && !linear<natural> && natural::is_unbiased);

/// The powers of two around v (twice the same if v is one).
support::two_points neighbours(double v) {
  int exponent = 0;
  if (v == 0) return {0, 0, 0, 0};
  double const fraction = std::frexp(std::fabs(v), &exponent), low = std::ldexp(0.5, exponent);
  double const high = fraction == 0.5 ? low : 2 * low, bias = 0x1p-16 * std::fabs(v);
  return v < 0 ? support::two_points{-high, -low, v, bias} : support::two_points{low, high, v, bias};
}

}  // namespace

TEST_CASE("natural: text and sizes") {
  CHECK(text(natural{}) == "natural");
  CHECK(text(natural{.block = 64, .seed = 9}) == "natural(block=64, seed=9)");
  CHECK(payload_bytes(natural{}, 1025) == 16 + 1040);
}

TEST_CASE("natural: neighbouring powers of two, unbiased, with an eighth of the square as variance") {
  for (auto const& x : {support::gaussian_values(1000, 2), support::heavy_tailed_values(1000, 3),
                        support::gaussian_values(1000, 4, 1e-30)}) {
    std::vector<support::two_points> points;
    for (double const v : x) {
      points.push_back(neighbours(v));
      REQUIRE(points.back().variance() <= v * v / 8);
    }
    for (int t = 0; t < 5; ++t) {
      auto const y = round_trip(natural{}, x, {.at = t});
      for (std::size_t i = 0; i < x.size(); ++i) {
        auto const got = static_cast<double>(y[i]);
        REQUIRE((got == points[i].low || got == points[i].high));
      }
    }
    int const steps = 400;
    CHECK(support::unbiased(support::mean_over_steps(natural{}, x, steps), points, steps) == "");
  }
}

TEST_CASE("natural: codes by hand") {
  std::vector<float> x(16, 0.0f);
  x[0] = 4, x[1] = -4, x[2] = 1, x[3] = -0x1p-124f, x[4] = 0x1p-120f, x[5] = -0.0f;
  auto const bytes = encoded(natural{.block = 16}, x);
  float top;
  std::memcpy(&top, bytes.data(), sizeof top);
  CHECK(top == 4);
  unsigned const want[] = {1, 0x81, 3, 0x80 | 127, 123, 0x80, 0};
  for (std::size_t i = 0; i < std::size(want); ++i) CHECK(static_cast<unsigned>(bytes[16 + i]) == want[i]);
  CHECK(bits_of(round_trip(natural{.block = 16}, x)) == bits_of(x));
}

TEST_CASE("natural: powers of two within reach are exact, those below are lost") {
  std::vector<float> x;
  for (int e = 0; e < 135; ++e) x.push_back(std::ldexp(e % 2 ? -1.0f : 1.0f, 20 - e));
  auto const y = round_trip(natural{}, x);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == (i < 127 ? x[i] : 0.0f));
}

TEST_CASE("natural: subnormal values are zero or the smallest normal number, unbiased") {
  std::vector<float> x(256, 0x1.8p-128f);
  x[0] = 0x1p-110f;
  std::vector<support::two_points> points(256, {0, 0x1p-126, 0x1.8p-128, 0x1p-16 * 0x1p-126});
  points[0] = neighbours(0x1p-110);
  int const steps = 400;
  CHECK(support::unbiased(support::mean_over_steps(natural{}, x, steps), points, steps) == "");
}

TEST_CASE("natural: 2^127 is the largest value") {
  std::vector<float> const x{0x1p127f, 0x1.fffffep127f, -0x1.8p127f, 0x1p126f};
  for (int t = 0; t < 20; ++t)
    CHECK(round_trip(natural{}, x, {.at = t}) == std::vector<float>{0x1p127f, 0x1p127f, -0x1p127f, 0x1p126f});
}

TEST_CASE("natural: foreign codes and tops decode without harm") {
  for (float const top : {0.0f, 0x1p-120f, -8.0f, 3.0f, 0x1p-149f}) {
    support::payload_buffer payload(payload_bytes(natural{}, 256));
    std::memset(payload.bytes().data(), 0, payload.size());
    std::memcpy(payload.bytes().data(), &top, sizeof top);
    for (std::size_t i = 0; i < 256; ++i) payload.bytes()[16 + i] = static_cast<std::byte>(i);
    for (float const v : support::decoded(natural{}, payload.bytes(), 256)) REQUIRE(std::isfinite(v));
  }
}

TEST_CASE("natural: blocks") {
  CHECK(support::non_finite_stays_in_its_block(natural{.block = 64}, 64) == "");
  CHECK(support::finite_blocks_stay_finite(natural{}) == "");
  CHECK(support::same_bits_everywhere(natural{}) == "");
}

TEST_CASE("natural: finite values stay finite behind sparsifiers, and what is not finite takes its block") {
  static_assert(natural::is_unbiased && !linear<natural>);
  support::stays_finite(top_k{.ratio = 0.1} | natural{});
  support::stays_finite(random_k{.ratio = 0.1, .unbiased = true} | natural{});
  support::stays_finite(hadamard_rotate{} | natural{}, false);
  std::vector<float16> poisoned(1024, float16(60000.0f));
  poisoned[5] = float16(support::inf);
  CHECK(support::not_finite(support::round_trip(natural{}, poisoned)) == 1024);
}
