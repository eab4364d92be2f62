#include <support/float_bits.hpp>

#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/isa.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

using namespace ccomp;
using support::inf;
using support::quiet_nan;

TEST_CASE("numeric: the magnitude key orders like |x|, with NaN above Inf") {
  std::vector<float> const rising{
      0.0f, 0x1p-149f, 0x1p-126f, 1.0f, std::nextafter(1.0f, 2.0f), std::numeric_limits<float>::max(), inf, quiet_nan};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    CHECK(detail::magnitude_key(rising[i]) == detail::magnitude_key(-rising[i]));
    if (i > 0) CHECK(detail::magnitude_key(rising[i - 1]) < detail::magnitude_key(rising[i]));
  }
  CHECK(detail::is_finite(-std::numeric_limits<float>::max()));
  CHECK_FALSE(detail::is_finite(-inf));
  CHECK_FALSE(detail::is_finite(quiet_nan));
}

TEST_CASE("numeric: canonical replaces NaNs of any payload and nothing else") {
  for (std::uint32_t u : {0x7f800001u, 0x7fc12345u, 0xffc00000u, 0xffffffffu})
    CHECK(detail::float_bits(detail::canonical(detail::bits_float(u))) == 0x7fc00000u);
  for (std::uint32_t u : {0u, 0x80000000u, 1u, 0x7f800000u, 0xff800000u, 0x3f800000u})
    CHECK(detail::float_bits(detail::canonical(detail::bits_float(u))) == u);
}

TEST_CASE("numeric: rounding to an integer is to nearest even, in every variant") {
  std::vector<float> x;
  for (int i = -300; i <= 300; ++i)
    for (float const part : {0.0f, 0.25f, 0.49999997f, 0.5f, 0.50000006f, 0.75f})
      x.push_back(static_cast<float>(i) + part);
  for (float const big : {0x1p20f + 0.5f, 0x1p20f + 1.5f, 0x1p21f - 0.5f, 0x1p21f - 1.5f}) {
    x.push_back(big);
    x.push_back(-big);
  }
  for (auto isa : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512}) {
    if (!detail::cpu_has(isa)) continue;
    CAPTURE(detail::isa_name(isa));
    for (std::int32_t const offset : {0, 128, -77}) {
      std::vector<std::uint32_t> out(x.size());
      detail::run(isa, [in = x.data(), to = out.data(), n = x.size(), offset] {
        for (std::size_t i = 0; i < n; ++i) to[i] = detail::round_bits(in[i], offset);
      });
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        auto const want = static_cast<std::int32_t>(std::nearbyint(static_cast<double>(x[i]) + offset));
        wrong += ((out[i] ^ static_cast<std::uint32_t>(want)) & 0x1fffffu) != 0;  // the low 21 bits
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("numeric: a scale has 16 significant bits, is never smaller than asked, and is close") {
  for (std::uint32_t u = detail::tiny_bits; u < 0x7f7fff00u; u += 40009) {
    float const x = detail::bits_float(u), scale = detail::round_up_scale(x);
    REQUIRE((detail::float_bits(scale) & 0xffu) == 0);
    REQUIRE(scale >= x);
    REQUIRE(scale <= x * (1.0f + 0x1p-14f));
    REQUIRE(detail::round_up_scale(scale) == scale);
  }
}

TEST_CASE("numeric: the scale of the largest floats is finite") {
  for (std::uint32_t u : {0x7f7fff00u, 0x7f7fff01u, 0x7f7fffffu}) {
    float const scale = detail::round_up_scale(detail::bits_float(u));
    CHECK(detail::is_finite(scale));
    CHECK((detail::float_bits(scale) & 0xffu) == 0);
    CHECK(detail::bits_float(u) / scale < 1.0001f);
  }
}

TEST_CASE("numeric: code times scale is exact for every 8-bit code") {
  for (std::uint32_t u : {0x3f800100u, 0x3fffff00u, 0x40490f00u, 0x0a123400u, 0x70abcd00u}) {
    float const scale = detail::round_up_scale(detail::bits_float(u));
    for (int code = -255; code <= 255; ++code) {
      float const product = detail::mul(static_cast<float>(code), scale);
      REQUIRE(static_cast<double>(product) == static_cast<double>(code) * static_cast<double>(scale));
    }
  }
}

TEST_CASE("numeric: sizes round up") {
  CHECK(detail::round_up(0, 16) == 0);
  CHECK(detail::round_up(1, 16) == 16);
  CHECK(detail::round_up(16, 16) == 16);
  CHECK(detail::round_up(17, 12) == 24);
  CHECK(detail::ceil_div(0, 8) == 0);
  CHECK(detail::ceil_div(9, 8) == 2);
  CHECK(detail::pad16(15) == 16);
  CHECK(detail::pad16(32) == 32);
}
