#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <ccomp/fit.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

template <class T> std::vector<T> narrowed(std::vector<float> const& x) {
  std::vector<T> y;
  for (float const v : x) y.emplace_back(v);
  return y;
}
template <class T> void check_by_hand(std::vector<T> const& x, char const* text) {
  CAPTURE(text);
  any_compressor const c(text);
  auto const y = support::round_trip(c, x, {.at = 0});
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const a = static_cast<double>(static_cast<float>(x[i])), b = static_cast<double>(static_cast<float>(y[i]));
    error += (a - b) * (a - b);
    norm += a * a;
  }
  auto const m = measure_error(host_exec{1}, x, c);
  // The library rounds differences to float32 (2^-24 each, twice that when squared) and adds in another order.
  CHECK(m.squared_error == doctest::Approx(error).epsilon(0x1p-22));
  CHECK(m.squared_norm == doctest::Approx(norm).epsilon(1e-12));
  CHECK(m.payload_bytes == payload_bytes<T>(c, x.size()));
  CHECK(m.values == x.size());
  CHECK(m.left_out == 0);
}

}  // namespace

TEST_CASE("measure_error: the sums of a plain loop, for every element type") {
  auto const x = support::heavy_tailed_values(10'007, 51);
  for (char const* const text :
       {"uniform_quantize<4>", "uniform_quantize<3>(round=stochastic)", "hadamard_rotate|sign_quantize", "top_k(0.1)",
        "cast<bfloat16>", "threshold(relative=2)|uniform_quantize<8>"}) {
    check_by_hand(x, text);
    check_by_hand(narrowed<float16>(x), text);
    check_by_hand(narrowed<bfloat16>(x), text);
  }
}

TEST_CASE("fits: the same bits for every instruction set and number of threads") {
  auto const wide = support::heavy_tailed_values(300'001, 52);
  auto const x = narrowed<bfloat16>(wide);
  struct result {
    std::string clip, percentile;
    double error, random_error;
    bool operator==(result const&) const = default;
  };
  auto const results = [&](host_exec const& ex) {
    auto const clip = fit_clip(ex, x, "hadamard_rotate|uniform_quantize<3>");
    return result{clip.text(), fit_percentile(ex, wide, "uniform_quantize<4>", 0.995).text(),
                  clip.measured.squared_error,
                  measure_error(ex, wide, any_compressor("uniform_quantize<2>(round=stochastic)")).squared_error};
  };
  auto const first = results({1, instruction_set::baseline});
  CHECK(first.error > 0);
  for (auto const& ex : support::host_execs()) {
    CAPTURE(ex.threads);
    CHECK(results(ex) == first);
  }
}

TEST_CASE("fits: runs of 4096 values that hold NaN or Inf are left out") {
  std::size_t const n = 3 * 4096 + 100;
  auto const clean = support::gaussian_values(n, 53);
  auto bad = clean, zeroed = clean;
  bad[4096 + 7] = support::quiet_nan;
  bad[n - 1] = support::inf;
  std::fill(zeroed.begin() + 4096, zeroed.begin() + 8192, 0.0f);
  std::fill(zeroed.begin() + 3 * 4096, zeroed.end(), 0.0f);
  std::vector<std::vector<float>> const history{clean, bad};
  any_compressor const c("uniform_quantize<4>(block=4096)");
  auto const m = measure_error(host_exec{1}, history, c);
  CHECK(m.left_out == 4096 + 100);
  CHECK(m.squared_error ==
        measure_error(host_exec{1}, clean, c).squared_error + measure_error(host_exec{1}, zeroed, c).squared_error);
  CHECK(std::isnan(bad[4096 + 7]));
  auto const half = narrowed<float16>(bad);
  CHECK(measure_error(host_exec{1}, half, c).left_out == 4096 + 100);
  // What is left out neither counts as small: half of all values lie within the same clip.
  CHECK(fit_percentile(host_exec{1}, bad, "uniform_quantize<4>(block=4096)", 0.5).text() ==
        fit_percentile(host_exec{1},
                       std::vector<std::vector<float>>{{clean.begin(), clean.begin() + 4096},
                                                       {clean.begin() + 8192, clean.begin() + 12288}},
                       "uniform_quantize<4>(block=4096)", 0.5)
            .text());
  std::vector<float> const hopeless(5000, support::quiet_nan);
  CHECK_THROWS_WITH_AS(measure_error(host_exec{1}, hopeless, c),
                       doctest::Contains("each run of 4096 values of the data holds NaN or Inf"), invalid_argument);
}

TEST_CASE("fits: samples of one tensor have one size and one type") {
  std::vector<float> const x(10, 1.0f), longer(11, 1.0f);
  fit_samples samples(x);
  CHECK_THROWS_WITH_AS(samples.add(longer),
                       doctest::Contains("sample 1 has 11 values of float32, sample 0 has 10 of float32"),
                       invalid_argument);
  CHECK_THROWS_AS(samples.add(std::vector<float16>(10)), invalid_argument);
  CHECK(samples.each().size() == 1);
}
