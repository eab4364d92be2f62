#include <support/block_checks.hpp>
#include <support/float_bits.hpp>

#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

using namespace ccomp;
using support::bits_of;

namespace {

static_assert(transform_stage<hadamard_rotate> && linear<hadamard_rotate>);

/// The sign of value i, from the documented rule.
bool flipped(hadamard_rotate const& c, pass_options at, std::size_t i) {
  random_stream const s{{c.seed, at.at}, at.tensor, shared_rank, 2};
  return (random_bits32(s, i / 32) >> (i % 32)) & 1u;
}
/// Lengths of the blocks that n values are cut into.
std::vector<std::size_t> blocks_of(std::size_t n, std::size_t block) {
  std::vector<std::size_t> all(n / block, block);
  for (std::size_t m = block / 2, rest = n % block; m > 0; m /= 2)
    if (rest & m) all.push_back(m);
  return all;
}
/// One level after the other, in float: the definition of the bits.
std::vector<float> by_levels(hadamard_rotate const& c, pass_options at, std::vector<float> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (flipped(c, at, i)) x[i] = -x[i];
  float* p = x.data();
  for (std::size_t const m : blocks_of(x.size(), c.block)) {
    for (std::size_t h = 1; h < m; h *= 2)
      for (std::size_t i = 0; i < m; ++i)
        if ((i & h) == 0) {
          float const a = p[i], b = p[i + h];
          p[i] = a + b;
          p[i + h] = a - b;
        }
    auto const scale = static_cast<float>(1 / std::sqrt(static_cast<double>(m)));
    for (std::size_t i = 0; i < m; ++i) p[i] *= scale;
    p += m;
  }
  return x;
}
/// The matrix product, in double.
std::vector<double> by_matrix(hadamard_rotate const& c, pass_options at, std::vector<float> const& x) {
  std::vector<double> y(x.size());
  std::size_t begin = 0;
  for (std::size_t const m : blocks_of(x.size(), c.block)) {
    for (std::size_t row = 0; row < m; ++row) {
      double sum = 0;
      for (std::size_t k = 0; k < m; ++k) {
        bool const minus = (std::popcount(row & k) % 2 != 0) != flipped(c, at, begin + k);
        sum += (minus ? -1 : 1) * static_cast<double>(x[begin + k]);
      }
      y[begin + row] = sum / std::sqrt(static_cast<double>(m));
    }
    begin += m;
  }
  return y;
}
double norm(std::vector<float> const& x) {
  double s = 0;
  for (double const v : x) s += v * v;
  return std::sqrt(s);
}

pass_options const somewhere{.at = 5, .tensor = 0x300000007u, .rank = 3};

}  // namespace

TEST_CASE("hadamard_rotate: text, sizes and settings") {
  CHECK(text(hadamard_rotate{} | uniform_quantize<4>{}) == "hadamard_rotate|uniform_quantize<4>");
  CHECK(text(hadamard_rotate{.block = 64, .seed = 3}) == "hadamard_rotate(block=64, seed=3)");
  CHECK(payload_bytes(hadamard_rotate{} | uniform_quantize<4>{}, 2000) == payload_bytes(uniform_quantize<4>{}, 2000));
  for (std::uint32_t const bad : {0u, 24u, 8192u})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes(hadamard_rotate{.block = bad}, 10)), invalid_argument);
}

TEST_CASE("hadamard_rotate: 1 / sqrt(m) is rounded to nearest") {
  for (std::size_t m = 1; m <= 4096; m *= 2)
    CHECK(detail::inverse_sqrt(m) == static_cast<float>(1 / std::sqrt(static_cast<double>(m))));
}

TEST_CASE("hadamard_rotate: the matrix, blocks and short tails alike") {
  for (std::uint32_t const block : {1u, 2u, 16u, 64u, 512u})
    for (std::size_t const n : {1u, 2u, 13u, 64u, 200u, 1535u}) {
      hadamard_rotate const c{.block = block, .seed = 11};
      auto const x = support::gaussian_values(n, n);
      auto y = x;
      c.forward(instruction_set::baseline, y.data(), n, 0, somewhere);
      auto const want = by_matrix(c, somewhere, x);
      for (std::size_t i = 0; i < n; ++i)
        REQUIRE(static_cast<double>(y[i]) == doctest::Approx(want[i]).epsilon(1e-5).scale(10));
      CHECK(norm(y) == doctest::Approx(norm(x)).epsilon(1e-6));
    }
}

TEST_CASE("hadamard_rotate: every instruction set computes the sums of the definition, bit for bit") {
  for (auto isa : support::instruction_sets())
    for (std::uint32_t block = 1; block <= 4096; block *= 2)
      for (std::size_t const n : {std::size_t{4096}, std::size_t{5000}, std::size_t{3 * block}, std::size_t{95}}) {
        CAPTURE(detail::isa_name(isa));
        CAPTURE(block);
        hadamard_rotate const c{.block = block, .seed = 2};
        for (auto const& x : {support::heavy_tailed_values(n, 6), support::any_finite_values(n, 7)}) {
          auto y = x;
          c.forward(isa, y.data(), n, 0, somewhere);
          auto want = bits_of(by_levels(c, somewhere, x)), got = bits_of(y);
          for (auto* v : {&want, &got})  // overflowed sums: any NaN will do
            for (auto& u : *v) u = (u & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : u;
          REQUIRE(got == want);
        }
      }
}

TEST_CASE("hadamard_rotate: the inverse gives the values back") {
  for (auto isa : support::instruction_sets())
    for (std::uint32_t const block : {8u, 128u, 1024u, 4096u}) {
      hadamard_rotate const c{.block = block};
      auto const x = support::gaussian_values(9001, 8);
      auto y = x;
      c.forward(isa, y.data(), y.size(), 0, somewhere);
      CHECK(bits_of(y) != bits_of(x));
      c.inverse(isa, y.data(), y.size(), 0, somewhere);
      double const bound = 0x1p-22 * 12 * std::sqrt(static_cast<double>(block)) * 4.5;
      for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(std::fabs(y[i] - x[i]) <= bound);
    }
}

TEST_CASE("hadamard_rotate: a spike is spread evenly, exactly") {
  std::vector<float> x(1024, 0.0f);
  x[333] = -96;
  hadamard_rotate{}.forward(instruction_set::baseline, x.data(), x.size(), 0, {});
  for (float const v : x) REQUIRE(std::fabs(v) == 3);
  CHECK(std::count(x.begin(), x.end(), 3.0f) == 512);
}

TEST_CASE("hadamard_rotate: a part of a tensor is rotated like the whole") {
  auto whole = support::gaussian_values(3 * 4096 + 100, 9);
  std::vector<float> part(whole.begin() + 4096, whole.end());
  hadamard_rotate const c{};
  c.forward(instruction_set::baseline, whole.data(), whole.size(), 0, somewhere);
  c.forward(instruction_set::baseline, part.data(), part.size(), 4096, somewhere);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 4096));
}

TEST_CASE("hadamard_rotate: signs follow step, seed and tensor, not the rank") {
  auto rotated = [](hadamard_rotate const& c, pass_options at) {
    auto x = support::gaussian_values(256);
    c.forward(instruction_set::baseline, x.data(), x.size(), 0, at);
    return x;
  };
  auto const base = rotated({}, {.at = 1});
  CHECK(rotated({}, {.at = 1, .rank = 5}) == base);
  CHECK(rotated({}, {.at = 2}) != base);
  CHECK(rotated({}, {.at = 1, .tensor = 1}) != base);
  CHECK(rotated({.seed = 1}, {.at = 1}) != base);
}

TEST_CASE("hadamard_rotate: with a quantizer: outliers no longer cost the rest their precision") {
  auto x = support::gaussian_values(1 << 16, 10);
  for (std::size_t i = 0; i < x.size(); i += 1000) x[i] = 60;
  auto error = [&](auto const& c) {
    auto const y = support::round_trip(c, x);
    double e = 0;
    for (std::size_t i = 0; i < x.size(); ++i) e += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
    return std::sqrt(e);
  };
  CHECK(error(hadamard_rotate{} | uniform_quantize<4>{}) < 0.5 * error(uniform_quantize<4>{}));
}

TEST_CASE("hadamard_rotate: blocks in a chain") {
  auto const c = hadamard_rotate{.block = 64} | uniform_quantize<8>{.block = 64};
  CHECK(support::same_bits_everywhere(c) == "");
  auto x = support::gaussian_values(64 * 5 + 3, 12);
  auto const clean = support::round_trip(c, x);
  x[64 * 2 + 5] = support::inf;
  auto const y = support::round_trip(c, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i / 64 == 2)
      REQUIRE(bits_of(y[i]) == 0x7fc00000u);
    else
      REQUIRE(y[i] == clean[i]);
  }
}
