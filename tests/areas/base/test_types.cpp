#include <support/float_bits.hpp>

#include <ccomp/core/types.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

using namespace ccomp;
using support::bits_of;
using support::float_from;
using support::inf;
using support::quiet_nan;

namespace {

// The oracle knows a format only as a list of numbers, in double, built from the standards' definition, and rounds by
// looking for the nearest one: it shares no arithmetic with the library.
struct oracle {
  int exponent_bits, mantissa_bits;
  std::uint32_t top;       // code of the largest number
  std::uint32_t overflow;  // what finite values beyond it become
  std::uint32_t inf, nan;  // what Inf (before its sign) and NaN become
  std::vector<double> values;

  oracle(int e, int m, std::uint32_t top_code, std::uint32_t overflow_code, std::uint32_t inf_code,
         std::uint32_t nan_code)
      : exponent_bits(e), mantissa_bits(m), top(top_code), overflow(overflow_code), inf(inf_code), nan(nan_code) {
    for (std::uint32_t code = 0; code <= top + 1; ++code) values.push_back(value(code));
  }
  double value(std::uint32_t code) const {
    int const bias = (1 << (exponent_bits - 1)) - 1;
    int const exponent = static_cast<int>(code >> mantissa_bits);
    double const fraction = static_cast<double>(code & ((1u << mantissa_bits) - 1u)) / std::ldexp(1.0, mantissa_bits);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, exponent - bias);
  }
  std::uint32_t sign_bit() const { return 1u << (exponent_bits + mantissa_bits); }
  std::uint32_t encode(float x) const {
    if (std::isnan(x)) return nan;
    std::uint32_t const sign = std::signbit(x) ? sign_bit() : 0u;
    if (std::isinf(x)) return inf | sign;
    double const y = std::fabs(static_cast<double>(x));
    if (y >= values[top + 1]) return overflow | sign;
    auto const above = static_cast<std::uint32_t>(std::upper_bound(values.begin(), values.end(), y) - values.begin());
    std::uint32_t const below = above - 1;
    double const down = y - values[below], up = values[above] - y;
    std::uint32_t const code = down < up ? below : up < down ? above : below + (below & 1u);
    return (code > top ? overflow : code) | sign;
  }
};

template <class T> oracle oracle_of();
template <> oracle oracle_of<float16>() { return {5, 10, 0x7bff, 0x7c00, 0x7c00, 0x7fff}; }
template <> oracle oracle_of<bfloat16>() { return {8, 7, 0x7f7f, 0x7f80, 0x7f80, 0x7fff}; }
template <> oracle oracle_of<fp8_e4m3>() { return {4, 3, 0x7e, 0x7e, 0x7f, 0x7f}; }
template <> oracle oracle_of<fp8_e5m2>() { return {5, 2, 0x7b, 0x7b, 0x7c, 0x7f}; }

// A loop of CHECKs over millions of values is slow and prints millions of lines: count, and show the first.
template <class T> struct comparison {
  oracle expected = oracle_of<T>();
  std::uint64_t wrong = 0;
  std::uint32_t first = 0;
  void operator()(std::uint32_t float_bits) {
    if (T(float_from(float_bits)).bits == expected.encode(float_from(float_bits))) return;
    if (wrong++ == 0) first = float_bits;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("types: every code decodes to its number and encodes back", T, float16, bfloat16, fp8_e4m3,
                   fp8_e5m2) {
  oracle const o = oracle_of<T>();
  bool const has_inf = o.inf != o.nan;
  std::uint64_t wrong_value = 0, wrong_code = 0, nans = 0;
  for (std::uint32_t code = 0; code < 2 * o.sign_bit(); ++code) {
    using bits = decltype(T::bits);
    float const x = static_cast<float>(T::from_bits(static_cast<bits>(code)));
    std::uint32_t const magnitude = code & (o.sign_bit() - 1);
    bool const negative = code != magnitude;
    if (magnitude <= o.top) {
      float const expected = static_cast<float>(o.value(magnitude));
      wrong_value += bits_of(x) != bits_of(negative ? -expected : expected);
      wrong_code += T(x).bits != code;
    } else if (has_inf && magnitude == o.inf) {
      wrong_value += bits_of(x) != bits_of(negative ? -inf : inf);
      wrong_code += T(x).bits != code;
    } else {
      ++nans;
      wrong_value += bits_of(x) != 0x7fc00000u;
      wrong_code += T(x).bits != o.nan;
    }
  }
  CHECK(wrong_value == 0);
  CHECK(wrong_code == 0);
  std::uint64_t const expected_nans = 2 * (std::uint64_t{o.sign_bit()} - o.top - (has_inf ? 2 : 1));
  CHECK(nans == expected_nans);
}

TEST_CASE_TEMPLATE("types: rounding is to nearest even around every number and every midpoint", T, float16, bfloat16,
                   fp8_e4m3, fp8_e5m2) {
  comparison<T> compare;
  for (std::uint32_t code = 0; code <= compare.expected.top; ++code) {
    double const here = compare.expected.values[code];
    // bfloat16's virtual number above the largest is 2^128: its midpoint is a float, it itself is not.
    double const middle = (here + compare.expected.values[code + 1]) / 2;
    for (double const centre : {here, middle})
      for (std::uint32_t offset : {0u, 1u, 2u, ~0u, ~1u})
        for (std::uint32_t sign : {0u, 0x80000000u}) {
          std::uint32_t const u = bits_of(static_cast<float>(centre)) + offset;
          if (u < 0x80000000u) compare(u | sign);
        }
  }
  CHECK_MESSAGE(compare.wrong == 0, "first at float bits " << compare.first);
}

TEST_CASE_TEMPLATE("types: a stride over all float bit patterns agrees with the oracle", T, float16, bfloat16, fp8_e4m3,
                   fp8_e5m2) {
  comparison<T> compare;
  for (std::uint64_t u = 0; u <= 0xffffffffu; u += 1021) compare(static_cast<std::uint32_t>(u));
  CHECK_MESSAGE(compare.wrong == 0, "first at float bits " << compare.first);
}

TEST_CASE_TEMPLATE("types: edge cases agree with the oracle", T, float16, bfloat16, fp8_e4m3, fp8_e5m2) {
  comparison<T> compare;
  for (std::uint32_t exponent = 0; exponent < 256; ++exponent)
    for (std::uint32_t mantissa : {0u, 1u, 0x3fffffu, 0x400000u, 0x400001u, 0x7ffffeu, 0x7fffffu})
      for (std::uint32_t sign : {0u, 1u}) compare(sign << 31 | exponent << 23 | mantissa);
  CHECK_MESSAGE(compare.wrong == 0, "first at float bits " << compare.first);
}

TEST_CASE("types: known codes") {
  CHECK(float16(1.0f).bits == 0x3c00);
  CHECK(float16(-2.0f).bits == 0xc000);
  CHECK(float16(65504.0f).bits == 0x7bff);
  CHECK(float16(65519.996f).bits == 0x7bff);
  CHECK(float16(65520.0f).bits == 0x7c00);
  CHECK(float16(-inf).bits == 0xfc00);
  CHECK(float16(-quiet_nan).bits == 0x7fff);
  CHECK(float16(0x1p-24f).bits == 1);
  CHECK(float16(0x1p-25f).bits == 0);
  CHECK(float16(-0.0f).bits == 0x8000);
  CHECK(bfloat16(1.0f).bits == 0x3f80);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bfloat16(-quiet_nan).bits == 0x7fff);
  CHECK(bfloat16(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK(fp8_e4m3(448.0f).bits == 0x7e);
  CHECK(fp8_e4m3(-1e30f).bits == 0xfe);
  CHECK(fp8_e4m3(inf).bits == 0x7f);
  CHECK(fp8_e4m3(-inf).bits == 0xff);
  CHECK(fp8_e4m3(-quiet_nan).bits == 0x7f);
  CHECK(fp8_e5m2(57344.0f).bits == 0x7b);
  CHECK(fp8_e5m2(1e30f).bits == 0x7b);
  CHECK(fp8_e5m2(-inf).bits == 0xfc);
  CHECK(fp8_e5m2(-quiet_nan).bits == 0x7f);
}

TEST_CASE("types: conversions work in constant expressions") {
  constexpr float16 a(0x1p-20f);
  constexpr bfloat16 b(quiet_nan);
  constexpr fp8_e4m3 c(quiet_nan);
  constexpr fp8_e5m2 d(-inf);
  static_assert(a.bits == 16 && static_cast<float>(a) == 0x1p-20f);
  static_assert(b.bits == 0x7fff && float16(quiet_nan).bits == 0x7fff);
  static_assert(c.bits == 0x7f && static_cast<float>(fp8_e4m3(3.0f)) == 3.0f);
  static_assert(d.bits == 0xfc && static_cast<float>(d) == -inf);
  CHECK(a == float16::from_bits(16));
  CHECK_FALSE(float16(0.0f) == float16(-0.0f));
}

TEST_CASE("types: conversions are explicit, so that no precision is lost unasked") {
  CHECK_FALSE(std::is_convertible_v<float, float16>);
  CHECK_FALSE(std::is_convertible_v<float16, float>);
  CHECK_FALSE(std::is_convertible_v<float, bfloat16>);
  CHECK_FALSE(std::is_convertible_v<fp8_e4m3, float>);
  CHECK_FALSE(std::is_convertible_v<fp8_e5m2, float>);
}

TEST_CASE("types: element types") {
  CHECK(element<float>);
  CHECK(element<float16>);
  CHECK(element<bfloat16>);
  CHECK_FALSE(element<double>);
  CHECK_FALSE(element<fp8_e4m3>);
  CHECK_FALSE(element<float const>);
  CHECK(element_type_of<float> == element_type::float32);
  CHECK(element_type_of<float16> == element_type::float16);
  CHECK(element_type_of<bfloat16> == element_type::bfloat16);
  CHECK(element_bytes(element_type::float32) == 4);
  CHECK(element_bytes(element_type::float16) == 2);
  CHECK(element_bytes(element_type::bfloat16) == 2);
  CHECK(element_bytes(element_type{77}) == 0);
  CHECK(element_name(element_type::float32) == "float32");
  CHECK(element_name(element_type::float16) == "float16");
  CHECK(element_name(element_type::bfloat16) == "bfloat16");
  CHECK(element_name(element_type{77}) == "unknown");
}

TEST_CASE("types: a step is made from any integer") {
  struct options {
    step at;
  };
  int const i = 7;
  CHECK(options{.at = i}.at.number == 7);
  CHECK(options{.at = std::uint64_t{1} << 63}.at.number == std::uint64_t{1} << 63);
  CHECK(step{}.number == 0);
  CHECK(step{-1}.number == ~std::uint64_t{0});
  CHECK(step{3} == step{3u});
  CHECK_FALSE(std::is_convertible_v<double, step>);
}
