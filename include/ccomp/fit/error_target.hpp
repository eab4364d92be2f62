#pragma once
/// The fewest bits that keep the error below a target.

#include <ccomp/fit/candidates.hpp>

#include <utility>

CCOMP_BEGIN

/// Of the compressors of `options`, the one with the smallest payload whose relative squared error |x - Q(x)|^2 / |x|^2 on
/// the data is at most `target`: `fit_error_target(ex, gradient, 0.01)`. Errors are summed over all samples.
///
/// Ties:        of equal payloads the smaller error, then the earlier text
/// Zeros:       data of zeros has error 0 with whatever decodes it to zeros, so the smallest payload is taken
/// Determinism: that of measure_error
/// Throws:      invalid_argument: none reaches the target (the message names the best); the target is negative or NaN; no
///              values, or no run of 4096 values that is finite; a text that is no chain
fitted_compressor fit_error_target(host_exec const& ex, fit_samples const& data, double target,
                                   fit_options const& options = {});

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION fitted_compressor fit_error_target(host_exec const& ex, fit_samples const& data, double target,
                                                  fit_options const& options) {
  constexpr auto call = "fit_error_target";
  detail::expects(target >= 0, [&] {
    return detail::sentence(call, ": the target must not be negative, got ", detail::print_value(target));
  });
  detail::fit_bench bench(call, ex, data);
  detail::fit_candidates const candidates(call, bench, options);
  auto best = candidates.measure(0);
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    bool const reached = best.measured.relative_error() <= target;
    if (reached && candidates.bytes(i) > best.measured.payload_bytes) break;
    auto next = candidates.measure(i);
    if (next.measured.squared_error < best.measured.squared_error) best = std::move(next);
  }
  detail::expects(best.measured.relative_error() <= target, [&] {
    return detail::sentence(call, ": no compressor has a relative squared error of ", detail::print_value(target),
                            " or less; the best is ", best.text(), " with ",
                            detail::three_digits_up(best.measured.relative_error()));
  });
  return best;
}
#endif
CCOMP_END
