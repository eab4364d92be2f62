#pragma once
/// The clip of a quantizer with the least squared error.

#include <ccomp/fit/clip_place.hpp>
#include <ccomp/fit/decimal.hpp>
#include <ccomp/fit/measurement.hpp>

#include <cmath>
#include <string_view>
#include <utility>

CCOMP_BEGIN

/// The chain of `text` with the clip that has the least squared error on the data: `fit_clip(ex, gradient,
/// "uniform_quantize<4>")`. The chain ends in uniform_quantize with range=symmetric, or in ternary; any stages that
/// leave it values may stand before it. A clip that the text has is replaced.
///
/// Search:      the error is measured, not modelled. Candidates are none, and 2^(k/64) rounded to three digits, from 1/4
///              up to sqrt(block), beyond which none differs. First every 16th candidate is tried, then the neighbours
///              of the best at half the distance, four times: up to 40 measurements. If the error has several minima,
///              the result is the best of those tried
/// Ties:        the larger clip; none is the largest
/// Determinism: that of measure_error; text and bits are the same for every thread count and instruction set
/// Throws:      invalid_argument: no such chain; no values, or no run of 4096 values that is finite
/// Source:      Banner, Nahshan, Soudry, "Post Training 4-Bit Quantization of Convolutional Networks for
///              Rapid-Deployment", NeurIPS 2019, who minimise the same error for Gaussian and Laplace models
fitted_compressor fit_clip(host_exec const& ex, fit_samples const& data, std::string_view text);

namespace detail {

/// Candidates in steps of 2^(1/64); none is beyond all of them.
class clip_search {
 public:
  clip_search(fit_bench& bench, clip_place const& place)
      : bench_(bench), place_(place), best_(bench.measure(place.with(0))) {}
  [[nodiscard]] fitted_compressor run() &&;

 private:
  static constexpr int coarse = 16, least = -128;  // 2^-2
  static float clip(int k) { return static_cast<float>(to_three_digits(std::exp2(k / 64.0), false)); }
  void attempt(int k);

  fit_bench& bench_;
  clip_place const& place_;
  fitted_compressor best_;
  int at_ = 0;  // the best one's place; of none, a place with the same error
  bool none_ = true;
};

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void clip_search::attempt(int k) {
  auto tried = bench_.measure(place_.with(clip(k)));
  double const error = tried.measured.squared_error, least_error = best_.measured.squared_error;
  bool const same = error == least_error && (none_ || k > at_);
  if (!(error < least_error) && !same) return;
  at_ = k;
  if (same && none_) return;
  none_ = false;
  best_ = std::move(tried);
}
CCOMP_FUNCTION fitted_compressor clip_search::run() && {
  double const end = std::sqrt(static_cast<double>(place_.block()));
  int k = least;
  while (static_cast<double>(clip(k + coarse)) < end) k += coarse;
  at_ = k + coarse;
  int const beyond = at_;
  if (best_.measured.squared_error > 0)
    for (; k >= least; k -= coarse) attempt(k);
  for (int distance = coarse / 2; distance > 0 && best_.measured.squared_error > 0; distance /= 2) {
    int const from = at_;
    if (!none_ && from + distance < beyond) attempt(from + distance);
    if (from - distance >= least) attempt(from - distance);
  }
  return std::move(best_);
}
#endif

}  // namespace detail

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION fitted_compressor fit_clip(host_exec const& ex, fit_samples const& data, std::string_view text) {
  any_compressor const c{text};
  detail::clip_place const place(c.stages());
  detail::expect_clip_place("fit_clip", c.stages(), place);
  detail::fit_bench bench("fit_clip", ex, data);
  return detail::clip_search(bench, place).run();
}
#endif
CCOMP_END
