#include <support/generators.hpp>

#include <ccomp/fit.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

std::vector<fitted_compressor> every_width(std::vector<float> const& x, fit_options const& options) {
  std::vector<fitted_compressor> all;
  for (auto const& text : options.texts) {
    bool const clipped = options.clip && text.find("uniform_quantize") != std::string::npos;
    all.push_back(clipped
                      ? fit_clip(host_exec{1}, x, text)
                      : fitted_compressor{any_compressor(text), measure_error(host_exec{1}, x, any_compressor(text))});
  }
  return all;
}

}  // namespace

TEST_CASE("fit_error_target: what trying every width finds") {
  for (auto const& x : {support::gaussian_values(20'000, 71), support::heavy_tailed_values(20'000, 72)})
    for (auto const& options :
         {fit_options{}, fit_options{width_texts("hadamard_rotate")}, fit_options{width_texts(), false}}) {
      auto const all = every_width(x, options);
      REQUIRE(all.size() == 8);
      for (double target = 2; target > all.back().measured.relative_error(); target /= 1.7) {
        CAPTURE(target);
        std::size_t first = 0;
        while (all[first].measured.relative_error() > target) ++first;
        auto const f = fit_error_target(host_exec{1}, x, target, options);
        CHECK(f.text() == all[first].text());
        CHECK(f.measured.squared_error == all[first].measured.squared_error);
      }
      double const exact = all[3].measured.relative_error();
      CHECK(fit_error_target(host_exec{1}, x, exact, options).measured.relative_error() <= exact);
    }
}

TEST_CASE("fit_error_target: of equal payloads the smaller error; texts in any order") {
  auto const x = support::gaussian_values(8192, 73);
  fit_options const options{
      {"cast<bfloat16>", "uniform_quantize<8>", "uniform_quantize<4>", "nonuniform<4>(block=512)", "qsgd<4>"}, false};
  CHECK(fit_error_target(host_exec{1}, x, 0.5, options).text() == "nonuniform<4>(block=512)");
  CHECK(fit_error_target(host_exec{1}, x, 1e-3, options).text() == "uniform_quantize<8>");
  CHECK(fit_error_target(host_exec{1}, x, 1e-5, options).text() == "cast<bfloat16>");
}

TEST_CASE("fit_error_target: zeros take the smallest payload; a target that none reaches names the best") {
  std::vector<float> const zeros(1000, 0.0f);
  auto const f = fit_error_target(host_exec{1}, zeros, 0);
  CHECK(f.text() == "sign_quantize");
  CHECK(f.measured.relative_error() == 0);
  auto const x = support::gaussian_values(4096, 74);
  auto const best = fit_clip(host_exec{1}, x, "uniform_quantize<8>");
  std::string why;
  try {
    fit_error_target(host_exec{1}, x, 1e-9);
  } catch (invalid_argument const& e) {
    why = e.what();
  }
  CHECK(why.find("no compressor has a relative squared error of 1e-09 or less; the best is " + best.text() +
                 " with ") != std::string::npos);
  // The number that the message names can be reached.
  CHECK(fit_error_target(host_exec{1}, x, std::stod(why.substr(why.find(" with ") + 6))).text() == best.text());
  for (double const bad : {-1.0, std::nan("")})
    CHECK_THROWS_WITH_AS(fit_error_target(host_exec{1}, x, bad),
                         doctest::Contains("the target must not be negative, got "), invalid_argument);
  CHECK_THROWS_AS(fit_error_target(host_exec{1}, x, 1, {{}}), invalid_argument);
  CHECK_THROWS_AS(fit_error_target(host_exec{1}, std::vector<float>(), 1), invalid_argument);
}
