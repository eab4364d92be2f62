#include <support/generators.hpp>

#include <ccomp/fit.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace ccomp;

namespace {

double clip_in(std::string const& text) { return std::stod(text.substr(text.find("clip=") + 5)); }

/// The share of values with |x| <= clip sigma of their block.
double share_within(std::vector<float> const& x, std::size_t block, double clip) {
  std::size_t within = 0;
  for (std::size_t at = 0; at < x.size(); at += block) {
    std::size_t const m = std::min(block, x.size() - at);
    double squares = 0;
    for (std::size_t i = at; i < at + m; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    double const sigma = std::sqrt(squares / static_cast<double>(m));
    for (std::size_t i = at; i < at + m; ++i)
      if (std::fabs(static_cast<double>(x[i])) <= clip * sigma) ++within;
  }
  return static_cast<double>(within) / static_cast<double>(x.size());
}

}  // namespace

// |x| <= q sigma for a share of Gaussian values: q = 1.95996, 2.57583, 3.29053 for 0.95, 0.99, 0.999 (tables of the normal
// distribution). The clip is rounded up by at most 1 %; the quantile of 2^18 values has a standard error of at most 0.5 %.
TEST_CASE("fit_percentile: quantiles of Gaussian values") {
  auto const x = support::gaussian_values(1 << 18, 61, 1e-4);
  struct known {
    double share, quantile;
  };
  for (known const want : {known{0.95, 1.95996}, known{0.99, 2.57583}, known{0.999, 3.29053}}) {
    CAPTURE(want.share);
    double const clip = clip_in(fit_percentile(host_exec{}, x, "uniform_quantize<4>(block=4096)", want.share).text());
    CHECK(clip == doctest::Approx(want.quantile).epsilon(0.025));
  }
}

TEST_CASE("fit_percentile: the least clip of three digits that keeps the share") {
  auto const x = support::heavy_tailed_values(10'050, 62);
  for (double const share : {0.25, 0.5, 0.9, 0.99, 0.999}) {
    CAPTURE(share);
    auto const f = fit_percentile(host_exec{1}, x, "uniform_quantize<3>(block=128)", share);
    double const clip = clip_in(f.text()), place = clip < 0.1 ? 1e-4 : clip < 1 ? 1e-3 : clip < 10 ? 1e-2 : 1e-1;
    // Deviations are rounded to float32, so a value at the very edge may fall on either side.
    CHECK(share_within(x, 128, clip * (1 + 1e-6)) >= share);
    CHECK(share_within(x, 128, clip - place - 1e-6) < share);
    CHECK(f.measured.squared_error == measure_error(host_exec{1}, x, any_compressor(f.text())).squared_error);
  }
}

TEST_CASE("fit_percentile: no clip where none is needed; transforms count") {
  auto const x = support::gaussian_values(5000, 63);
  CHECK(fit_percentile(host_exec{1}, x, "uniform_quantize<4>(clip=2)", 1).text() == "uniform_quantize<4>");
  std::vector<float> const zeros(300, 0.0f);
  CHECK(fit_percentile(host_exec{1}, zeros, "uniform_quantize<4>", 0.5).text() == "uniform_quantize<4>");
  // One value in 64 is not zero: 1 of 64 lies at 8 sigma. Rotated, all lie at 1 sigma.
  std::vector<float> spikes(6400, 0.0f);
  for (std::size_t i = 0; i < spikes.size(); i += 64) spikes[i] = 3;
  CHECK(fit_percentile(host_exec{1}, spikes, "uniform_quantize<4>(block=64)", 0.98).text() ==
        "uniform_quantize<4>(block=64, clip=0.01)");
  CHECK(fit_percentile(host_exec{1}, spikes, "uniform_quantize<4>(block=64)", 0.99).text() ==
        "uniform_quantize<4>(block=64)");
  CHECK(fit_percentile(host_exec{1}, spikes, "hadamard_rotate(block=64)|uniform_quantize<4>(block=64)", 0.5).text() ==
        "hadamard_rotate(block=64)|uniform_quantize<4>(block=64)");
}

TEST_CASE("fit_percentile: what is refused") {
  std::vector<float> const x(100, 1.0f);
  for (double const share : {0.0, -0.5, 1.01, std::nan("")})
    CHECK_THROWS_WITH_AS(fit_percentile(host_exec{1}, x, "uniform_quantize<4>", share),
                         doctest::Contains("the share must be above 0 and up to 1, got "), invalid_argument);
  for (char const* const text : {"top_k(0.5)|uniform_quantize<4>", "e8_lattice|uniform_quantize<8>"})
    CHECK_THROWS_WITH_AS(fit_percentile(host_exec{1}, x, text, 0.9),
                         doctest::Contains("has a stage before its quantizer that is no transform"), invalid_argument);
  CHECK_THROWS_AS(fit_percentile(host_exec{1}, x, "natural", 0.9), invalid_argument);
}
