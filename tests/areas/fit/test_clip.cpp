#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/fit.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace ccomp;

namespace {

std::vector<float> laplace_values(std::size_t n, std::uint64_t seed) {
  support::generator g(seed);
  std::vector<float> x(n);
  for (auto& v : x) {
    double const magnitude = -std::log(g.uniform()) / std::sqrt(2.0);
    v = static_cast<float>(g.uniform() < 0.5 ? -magnitude : magnitude);
  }
  return x;
}
double error_at(std::vector<float> const& x, std::string const& text) {
  return measure_error(host_exec{1}, x, any_compressor(text)).squared_error;
}

}  // namespace

// The clip c in units of sigma that minimises E (x - Q(x))^2 / E x^2 of levels k c / L, k = -L..L, L = 2^(bits-1) - 1,
// and that minimum: Simpson's rule over each cell, golden section over c. For Gaussian values they are those of Max,
// "Quantizing for Minimum Distortion", IRE Transactions on Information Theory 6(1), 1960, table II: 3 levels 1.2240 apart,
// 7 levels 0.6508 apart. Banner et al. 2019 (see fit_clip) have 2^bits levels, and thus 1.71, 2.15, 2.55 for 2, 3, 4 bits.
//
// Tolerances. Of the clip: candidates lie 1.1 % apart and are rounded to three digits (at most 0.5 %); the minimum over
// 2^18 values has a standard error of at most 0.5 %. Of the error: five standard errors of the mean of (x - Q(x))^2, at
// most 1.6 % each (Laplace, 4 bits). A block of 4096 values nearly always reaches beyond these clips.
TEST_CASE("fit_clip: the best clips of Gaussian and Laplace values") {
  struct known {
    char const* text;
    double clip, error;
  };
  auto const check = [](std::vector<float> const& x, known const& want) {
    CAPTURE(want.text);
    auto const f = fit_clip(host_exec{}, x, want.text);
    REQUIRE(f.text().find("clip=") != std::string::npos);
    double const clip = std::stod(f.text().substr(f.text().find("clip=") + 5));
    CHECK(clip == doctest::Approx(want.clip).epsilon(0.03));
    CHECK(f.measured.relative_error() == doctest::Approx(want.error).epsilon(0.08));
  };
  auto const gaussian = support::gaussian_values(1 << 18, 31, 0.01), laplace = laplace_values(1 << 18, 32);
  check(gaussian, {"uniform_quantize<2>(block=4096)", 1.2240, 0.190174});
  check(gaussian, {"uniform_quantize<3>(block=4096)", 1.9523, 0.046860});
  check(gaussian, {"uniform_quantize<4>(block=4096)", 2.4739, 0.012889});
  check(laplace, {"uniform_quantize<2>(block=4096)", 1.4142, 0.264241});
  check(laplace, {"uniform_quantize<3>(block=4096)", 2.4653, 0.083087});
  check(laplace, {"uniform_quantize<4>(block=4096)", 3.4082, 0.027395});
  // A rotation makes Gaussian values of any.
  check(laplace, {"hadamard_rotate(block=4096)|uniform_quantize<3>(block=4096)", 1.9523, 0.046860});
}

TEST_CASE("fit_clip: no clip of the whole grid is better by more than a thousandth") {
  auto sparse = support::gaussian_values(9000, 41);
  for (std::size_t i = 0; i < sparse.size(); ++i)
    if (i % 11 != 0) sparse[i] = 0;
  for (auto const& x : {support::gaussian_values(9000, 42), support::heavy_tailed_values(9000, 43), sparse})
    for (std::string const bits : {"2", "4", "7"}) {
      CAPTURE(bits);
      auto const f = fit_clip(host_exec{1}, x, "uniform_quantize<" + bits + ">(block=256)");
      double least = error_at(x, "uniform_quantize<" + bits + ">(block=256)");
      for (double clip = 0.25; clip < 16; clip *= std::exp2(1.0 / 32))
        least = std::min(least,
                         error_at(x, "uniform_quantize<" + bits + ">(block=256, clip=" + std::to_string(clip) + ")"));
      CHECK(f.measured.squared_error <= least * 1.001);
    }
}

TEST_CASE("fit_clip: where clipping saves nothing there is none") {
  std::vector<float> const equal(1000, -0.25f), zeros(1000, 0.0f);
  CHECK(fit_clip(host_exec{1}, equal, "uniform_quantize<4>").text() == "uniform_quantize<4>");
  auto const f = fit_clip(host_exec{1}, zeros, "uniform_quantize<4>(block=64, clip=3)");
  CHECK(f.text() == "uniform_quantize<4>(block=64)");
  CHECK(f.measured.relative_error() == 0);
  std::vector<float> spike(512, 0.0f);
  spike[7] = 100;
  CHECK(fit_clip(host_exec{1}, spike, "uniform_quantize<2>").text() == "uniform_quantize<2>");
}

TEST_CASE("fit_clip: other settings stay, the text gives the same bytes, ternary has a clip too") {
  auto const x = support::gaussian_values(5000, 44);
  auto const f = fit_clip(host_exec{1}, x, "sign_flip | uniform_quantize<3>(block=256, seed=7, clip=9)");
  CHECK(f.text().starts_with("sign_flip|uniform_quantize<3>(block=256, seed=7, clip=1."));
  CHECK(support::encoded(any_compressor(f.text()), x) == support::encoded(f.compressor, x));
  CHECK(f.measured.squared_error == error_at(x, f.text()));
  CHECK(fit_clip(host_exec{1}, x, "ternary").text().starts_with("ternary"));
  CHECK(fit_clip(host_exec{1}, x, "top_k(0.2)|uniform_quantize<3>")
            .text()
            .starts_with("top_k(ratio=0.2)|uniform_quantize<3>"));
  CHECK(
      fit_clip(host_exec{1}, x, "e8_lattice|uniform_quantize<8>").text().starts_with("e8_lattice|uniform_quantize<8>"));
}

TEST_CASE("fit_clip: a history of samples is one sum") {
  auto const a = support::gaussian_values(6000, 45), b = support::heavy_tailed_values(6000, 46);
  std::vector<std::vector<float>> const history{a, b, a};
  auto const f = fit_clip(host_exec{1}, history, "uniform_quantize<3>");
  CHECK(f.measured.samples == 3);
  CHECK(f.measured.values == 6000);
  CHECK(f.measured.squared_error == error_at(a, f.text()) + error_at(b, f.text()) + error_at(a, f.text()));
}

TEST_CASE("fit_clip: what is refused") {
  std::vector<float> const x(100, 1.0f), none;
  for (char const* const text : {"nonuniform<4>", "uniform_quantize<4>(range=min_max)", "uniform_quantize<1>",
                                 "top_k(0.1)", "hadamard_rotate", "cast<bfloat16>"})
    CHECK_THROWS_WITH_AS(
        fit_clip(host_exec{1}, x, text),
        doctest::Contains("has no clip to fit; the chain must end in uniform_quantize(range=symmetric) or "
                          "in ternary"),
        invalid_argument);
  CHECK_THROWS_WITH_AS(fit_clip(host_exec{1}, none, "uniform_quantize<4>"),
                       doctest::Contains("fit_clip: the data has no values"), invalid_argument);
  CHECK_THROWS_WITH_AS(fit_clip(host_exec{1}, fit_samples(), "uniform_quantize<4>"),
                       doctest::Contains("fit_clip: the data has no values"), invalid_argument);
}
