#pragma once
/// A budget of bits, spread over tensors.

#include <ccomp/fit/candidates.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <tuple>
#include <vector>

CCOMP_BEGIN

/// One compressor of `options` per tensor, so that the sum of the tensors' squared errors is small and their payloads take
/// at most `bits_per_value` bits per value of all tensors together. A tensor counts with the mean of its samples.
///
/// Method:      of each tensor, the lower convex hull of measured (bytes, error) points. All start with the smallest
///              payload. Steps along the hulls are taken by error saved per byte, while they fit; a tensor whose step does
///              not fit takes no further ones. What is left of the budget goes to any change that saves error, the
///              largest saving first. Payloads have their true size: scales, and padding to 16 bytes
/// Guarantee:   where the steps use the budget up, no choice has a smaller error. Elsewhere the error exceeds the least
///              by at most what the first step that did not fit would have saved
/// Ties:        the tensor that comes first
/// Determinism: that of measure_error
/// Throws:      invalid_argument: the budget is less than the smallest payloads take (the message names how much that is)
///              or not a finite number; no tensors; a tensor without values or without a run of 4096 finite values; a
///              text that is no chain
/// Source:      Shoham, Gersho, "Efficient Bit Allocation for an Arbitrary Set of Quantizers", IEEE Transactions on
///              Acoustics, Speech, and Signal Processing 36(9), 1988 (hulls)
std::vector<fitted_compressor> fit_bit_budget(host_exec const& ex, std::span<fit_samples const> tensors,
                                              double bits_per_value, fit_options const& options = {});

namespace detail {

/// What a tensor may take, and what that costs in error; for each tensor with ascending bytes and descending error.
struct budget_point {
  std::size_t bytes;
  double error;
};
using budget_points = std::vector<budget_point>;

/// From point to point of a tensor.
struct budget_step {
  std::size_t tensor, from, to, bytes;
  double saved;
  [[nodiscard]] double slope() const { return saved / static_cast<double>(bytes); }
};
/// The steps along the lower convex hulls of all tensors, in the order in which they pay.
std::vector<budget_step> hull_steps(std::span<budget_points const> tensors);
/// The least payloads of all tensors.
std::size_t least_bytes(std::span<budget_points const> tensors);
/// The point of each tensor, as fit_bit_budget's contract says.
std::vector<std::size_t> spread_budget(std::span<budget_points const> tensors, std::size_t bytes);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::size_t least_bytes(std::span<budget_points const> tensors) {
  std::size_t sum = 0;
  for (auto const& points : tensors) sum += points.front().bytes;
  return sum;
}

CCOMP_FUNCTION budget_step step_of(std::span<budget_points const> tensors, std::size_t tensor, std::size_t from,
                                   std::size_t to) {
  auto const &a = tensors[tensor][from], &b = tensors[tensor][to];
  return {tensor, from, to, b.bytes - a.bytes, a.error - b.error};
}

CCOMP_FUNCTION std::vector<budget_step> hull_steps(std::span<budget_points const> tensors) {
  std::vector<budget_step> steps;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    std::size_t const points = tensors[t].size();
    for (std::size_t from = 0; from + 1 < points;) {
      auto steepest = step_of(tensors, t, from, from + 1);
      for (std::size_t to = from + 2; to < points; ++to)
        if (auto const other = step_of(tensors, t, from, to); other.slope() >= steepest.slope()) steepest = other;
      steps.push_back(steepest);
      from = steepest.to;
    }
  }
  std::ranges::sort(steps, {}, [](budget_step const& s) { return std::tuple(-s.slope(), s.tensor, s.from); });
  return steps;
}

CCOMP_FUNCTION std::vector<std::size_t> spread_budget(std::span<budget_points const> tensors, std::size_t bytes) {
  std::vector<std::size_t> chosen(tensors.size());
  std::size_t remaining = bytes - least_bytes(tensors);
  for (auto const& step : hull_steps(tensors)) {
    if (chosen[step.tensor] != step.from || step.bytes > remaining) continue;
    chosen[step.tensor] = step.to;
    remaining -= step.bytes;
  }
  for (;;) {
    budget_step largest{};
    for (std::size_t t = 0; t < tensors.size(); ++t)
      for (std::size_t to = chosen[t] + 1; to < tensors[t].size(); ++to)
        if (auto const step = step_of(tensors, t, chosen[t], to); step.bytes <= remaining && step.saved > largest.saved)
          largest = step;
    if (largest.bytes == 0) return chosen;
    chosen[largest.tensor] = largest.to;
    remaining -= largest.bytes;
  }
}
#endif

}  // namespace detail

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION std::vector<fitted_compressor> fit_bit_budget(host_exec const& ex, std::span<fit_samples const> tensors,
                                                             double bits_per_value, fit_options const& options) {
  constexpr auto call = "fit_bit_budget";
  detail::expects(!tensors.empty(), "fit_bit_budget: there are no tensors");
  detail::expects(bits_per_value > 0 && std::isfinite(bits_per_value), [&] {
    return detail::sentence(call, ": the budget must be a number above 0, got ", detail::print_value(bits_per_value));
  });
  std::vector<std::vector<fitted_compressor>> fitted(tensors.size());
  std::vector<detail::budget_points> points(tensors.size());
  double values = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    detail::fit_bench bench(detail::sentence(call, ": tensor ", t), ex, tensors[t]);
    values += static_cast<double>(bench.data().n());
    detail::fit_candidates const candidates(call, bench, options);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      auto next = candidates.measure(i);
      auto const& m = next.measured;
      detail::budget_point const point{m.payload_bytes, m.squared_error / static_cast<double>(m.samples)};
      if (!std::isfinite(point.error) || (!points[t].empty() && point.error >= points[t].back().error)) continue;
      if (!points[t].empty() && point.bytes == points[t].back().bytes) {
        points[t].pop_back();
        fitted[t].pop_back();
      }
      points[t].push_back(point);
      fitted[t].push_back(std::move(next));
    }
    detail::expects(!points[t].empty(),
                    [&] { return detail::sentence(call, ": tensor ", t, " has no finite error with any compressor"); });
  }
  std::size_t const least = detail::least_bytes(points);
  double const budget = bits_per_value * values / 8;
  detail::expects(static_cast<double>(least) <= budget, [&] {
    return detail::sentence(call, ": these tensors take at least ",
                            detail::three_digits_up(8 * static_cast<double>(least) / values),
                            " bits per value, the budget is ", detail::print_value(bits_per_value));
  });
  // (More than the largest payloads take is never used.)
  auto const bytes = static_cast<std::size_t>(std::min(budget, 0x1p62));
  std::vector<fitted_compressor> result;
  result.reserve(tensors.size());
  auto const chosen = detail::spread_budget(points, bytes);
  for (std::size_t t = 0; t < tensors.size(); ++t) result.push_back(std::move(fitted[t][chosen[t]]));
  return result;
}
#endif
CCOMP_END
