#include <support/block_checks.hpp>
#include <support/float_bits.hpp>

#include <ccomp/quantize/cast.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

using namespace ccomp;
using support::bits_of;
using support::decoded;
using support::encoded;
using support::round_trip;

namespace {

static_assert(cast_stage<cast<float16>> && cast_stage<cast<bfloat16>> && linear<cast<float16>> &&
              linear<cast<bfloat16>>);
static_assert(quantizer_stage<cast<fp8_e4m3>> && quantizer_stage<cast<fp8_e5m2>> && !linear<cast<fp8_e4m3>>);

/// All non-negative numbers of a format with these bits, from its definition, in ascending order.
std::vector<double> numbers(int exponents, int mantissa, int bias, double largest) {
  std::vector<double> all;
  for (int e = 0; e < (1 << exponents); ++e)
    for (int m = 0; m < (1 << mantissa); ++m) {
      double const fraction = static_cast<double>(m) / (1 << mantissa);
      double const v = e == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, e - bias);
      if (v <= largest) all.push_back(v);
    }
  return all;
}

template <class T> struct fp8_case {
  std::vector<double> grid;
  double largest;
};
fp8_case<fp8_e4m3> const e4m3{numbers(4, 3, 7, 448), 448};
fp8_case<fp8_e5m2> const e5m2{numbers(5, 2, 15, 57344), 57344};

/// Each value decodes to the grid number nearest to x / scale, times the scale.
template <class T> void check_nearest(fp8_case<T> const& format, std::vector<float> const& x, std::size_t block) {
  auto const y = round_trip(cast<T>{.block = static_cast<std::uint32_t>(block)}, x);
  for (std::size_t begin = 0; begin < x.size(); begin += block) {
    std::size_t const end = std::min(x.size(), begin + block);
    double top = 0;
    for (std::size_t i = begin; i < end; ++i) top = std::fmax(top, std::fabs(x[i]));
    double const scale = top / format.largest;
    for (std::size_t i = begin; i < end; ++i) {
      double const want = std::fabs(x[i]), got = std::fabs(y[i]);
      double nearest = 1e300;
      for (double const g : format.grid) nearest = std::fmin(nearest, std::fabs(g * scale - want));
      // The scale is rounded up by at most 2^-15; so are the grid and the point where rounding turns.
      REQUIRE(std::fabs(got - want) <= nearest + 0x1p-14 * (want + scale * format.grid[1]));
      REQUIRE((got == 0 || std::signbit(y[i]) == std::signbit(x[i])));
    }
  }
}

}  // namespace

TEST_CASE("cast: the name carries the type") {
  CHECK(text(cast<float16>{}) == "cast<float16>");
  CHECK(text(cast<bfloat16>{}) == "cast<bfloat16>");
  CHECK(text(cast<fp8_e4m3>{}) == "cast<fp8_e4m3>");
  CHECK(text(cast<fp8_e5m2>{.block = 32}) == "cast<fp8_e5m2>(block=32)");
  CHECK(fingerprint(cast<float16>{}) != fingerprint(cast<bfloat16>{}));
}

TEST_CASE_TEMPLATE("cast: a 16-bit payload is the converted values, each on its own", T, float16, bfloat16) {
  for (std::size_t n : {0u, 1u, 7u, 8u, 9u, 4096u, 5001u}) {
    auto x = support::any_finite_values(n, 5);
    if (n > 6) {
      x[1] = support::inf;
      x[2] = support::quiet_nan;
      x[3] = -0.0f;
      x[4] = 1.0f + 0x1p-11f;  // ties: to even
      x[5] = 1.0f + 0x1p-8f;
    }
    auto const bytes = encoded(cast<T>{}, x);
    REQUIRE(bytes.size() == (2 * n + 15) / 16 * 16);
    auto const y = decoded(cast<T>{}, bytes, n);
    for (std::size_t i = 0; i < n; ++i) {
      T stored;
      std::memcpy(&stored, bytes.data() + 2 * i, 2);
      REQUIRE(stored == T::saturated(x[i]));
      REQUIRE(bits_of(y[i]) == bits_of(static_cast<float>(T::saturated(x[i]))));
    }
    for (std::size_t i = 2 * n; i < bytes.size(); ++i) REQUIRE(bytes[i] == std::byte{0});
  }
}

TEST_CASE_TEMPLATE("cast: input of the same 16-bit type comes back bit for bit", T, float16, bfloat16) {
  std::vector<T> x;
  for (std::uint32_t u = 0; u < 65536; u += 3) {
    T const v = T::from_bits(static_cast<std::uint16_t>(u));
    if (T(static_cast<float>(v)) == v) x.push_back(v);  // all but NaNs with another payload
  }
  CHECK(x.size() > 20'000);
  CHECK(round_trip(cast<T>{}, x) == x);
}

TEST_CASE("cast: 16-bit values by hand") {
  auto const y = round_trip(cast<bfloat16>{}, std::vector<float>{1.0f, 1.00390625f, 1.01171875f, 3.0e38f, 3.4e38f});
  CHECK(y == std::vector<float>{1.0f, 1.0f, 1.015625f, 0x1.c4p127f, 0x1.fep127f});
  CHECK(round_trip(cast<float16>{}, std::vector<float>{65504.0f, 65519.0f, -2049.0f, 0x1p-25f, 0x1.8p-25f}) ==
        std::vector<float>{65504.0f, 65504.0f, -2048.0f, 0.0f, 0x1p-24f});
}

TEST_CASE("cast: fp8 by hand: blocks whose largest value is the format's") {
  auto block = [](std::initializer_list<float> first) {
    std::vector<float> x(first);
    x.resize(16, 0.0f);
    return x;
  };
  CHECK(bits_of(round_trip(cast<fp8_e4m3>{.block = 16},
                           block({448, -1, 0.5f, 17, 19, -0x1p-9f, 0x1.8p-10f, 0x1p-10f, 300, -0.0f}))) ==
        bits_of(block({448, -1, 0.5f, 16, 20, -0x1p-9f, 0x1p-9f, 0.0f, 288, -0.0f})));
  CHECK(bits_of(round_trip(cast<fp8_e5m2>{.block = 16},
                           block({-57344, -1, 0.5f, 17, 18, 19, -0x1p-16f, 0x1.8p-17f, 0x1p-17f, 300, 52000}))) ==
        bits_of(block({-57344, -1, 0.5f, 16, 16, 20, -0x1p-16f, 0x1p-16f, 0.0f, 320, 49152})));
}

TEST_CASE("cast: fp8 rounds to the nearest number of its format times the block's scale") {
  for (auto const& x : {support::gaussian_values(1000, 1), support::heavy_tailed_values(1000, 2),
                        support::gaussian_values(33, 3, 1e-30), support::gaussian_values(33, 4, 1e37)})
    for (std::size_t block : {16u, 128u}) {
      check_nearest(e4m3, x, block);
      check_nearest(e5m2, x, block);
    }
}

TEST_CASE("cast: the smallest blocks that are coded keep fp8's precision") {
  std::vector<float> x(128);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0x1p-118f * (1.0f + static_cast<float>(i) / 128);
  check_nearest(e4m3, x, 128);
  check_nearest(e5m2, x, 128);
}

TEST_CASE_TEMPLATE("cast: fp8 blocks", T, fp8_e4m3, fp8_e5m2) {
  CHECK(payload_bytes(cast<T>{}, 1000) == 32 + 1008);
  CHECK(support::non_finite_stays_in_its_block(cast<T>{}, 128) == "");
  CHECK(support::finite_blocks_stay_finite(cast<T>{}) == "");
  CHECK(support::same_bits_everywhere(cast<T>{}) == "");
}

TEST_CASE_TEMPLATE("cast: 16-bit types, the same everywhere", T, float16, bfloat16) {
  CHECK(support::same_bits_everywhere(cast<T>{}) == "");
}
