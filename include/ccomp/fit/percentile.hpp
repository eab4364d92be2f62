#pragma once
/// The clip of a quantizer that a given share of the values keeps to.

#include <ccomp/engine/host/block_codec.hpp>
#include <ccomp/fit/clip_place.hpp>
#include <ccomp/fit/decimal.hpp>
#include <ccomp/fit/measurement.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

CCOMP_BEGIN

/// The chain of `text` with the least clip that at least this share of the values keeps to: of all |x| / sigma, x behind
/// the chain's transforms and sigma = sqrt(mean x^2) of its block, as the quantizer sees them. `fit_percentile(ex, gradient,
/// "uniform_quantize<4>", 0.999)`. A clip that the text has is replaced.
///
/// Rounding:    the clip is rounded up to three digits, and to at least 0.01. None, if that clips no value of the data
/// Zeros:       values of blocks of zeros keep to any clip. Runs of 4096 values that hold NaN or Inf do not count
/// Memory:      4 bytes per value of all samples
/// Determinism: text and bits are the same for every thread count and instruction set
/// Throws:      invalid_argument: the share is not above 0 and up to 1; the chain does not end in uniform_quantize with
///              range=symmetric or in ternary, or has other stages than transforms before it; no values, or no run of 4096
///              values that is finite
fitted_compressor fit_percentile(host_exec const& ex, fit_samples const& data, std::string_view text, double share);

#if CCOMP_DEFINITIONS
namespace detail {

/// |x| / sigma of a tile's values.
[[gnu::always_inline]] inline void deviations(float const* x, std::size_t n, std::size_t block, float* out) {
  for (std::size_t at = 0; at < n; at += block) {
    std::size_t const m = n - at < block ? n - at : block;
    double const squares = scan<sum_squares>(x + at, m).sum[0];
    auto const sigma = static_cast<float>(sqrt(squares / static_cast<double>(m)));
    for (std::size_t i = at; i < at + m; ++i) out[i] = sigma > 0 ? div(bits_float(magnitude_key(x[i])), sigma) : 0.0f;
  }
}

/// Those of all values that were not left out.
CCOMP_FUNCTION std::vector<float> all_deviations(host_exec const& ex, finite_samples const& data, segment const& s) {
  std::size_t const n = data.n(), block = s.quantizer()->block(s.end.stage);
  std::vector<float> all(data.each().size() * n);
  for (std::size_t i = 0; i < data.each().size(); ++i) {
    pass_context const context(ex, {.at = i});
    parallel_ranges(ex, data.tiles(), tile_values, [&](std::size_t begin, std::size_t end) {
      alignas(64) float values[tile_values];
      for (std::size_t t = begin; t < end; ++t) {
        std::size_t const first = t * tile_values, m = std::min(tile_values, n - first);
        float* const out = all.data() + i * n + first;
        float const* const x = load(context.isa, data.each()[i], first, m, values);
        if (x != values) std::copy_n(x, m, values);
        forward(s.transforms, context, values, m, first);
        detail::run(context.isa, [&] { deviations(values, m, block, out); });
        if (data.is_left_out(i, t)) std::fill_n(out, m, -1.0f);
      }
    });
  }
  std::erase(all, -1.0f);
  return all;
}

}  // namespace detail

CCOMP_FUNCTION fitted_compressor fit_percentile(host_exec const& ex, fit_samples const& data, std::string_view text,
                                                double share) {
  constexpr auto call = "fit_percentile";
  detail::expects(share > 0 && share <= 1, [&] {
    return detail::sentence(call, ": the share must be above 0 and up to 1, got ", detail::print_value(share));
  });
  any_compressor const c{text};
  detail::clip_place const place(c.stages());
  detail::expect_clip_place(call, c.stages(), place);
  auto const segment = detail::first_segment(c.stages());
  detail::expects(segment.quantizer() != nullptr, [&] {
    return detail::sentence(call, ": ", c.text(),
                            " has a stage before its quantizer that is no transform; fit the clip by fit_clip");
  });
  detail::fit_bench bench(call, ex, data);
  auto all = detail::all_deviations(ex, bench.data(), segment);
  // (The product may exceed a whole number by its rounding.)
  double const wanted = std::ceil(share * static_cast<double>(all.size()) * (1 - 1e-15));
  auto const within = all.begin() + static_cast<std::ptrdiff_t>(wanted) - 1;
  std::nth_element(all.begin(), within, all.end());
  double const clip = std::max(0.01, *within > 0 ? detail::to_three_digits(static_cast<double>(*within), true) : 0);
  bool const clips = static_cast<double>(*std::max_element(within, all.end())) > clip;
  return bench.measure(place.with(clips ? static_cast<float>(clip) : 0));
}
#endif
CCOMP_END
