#pragma once
/// What every quantizer owes its blocks. Each check returns what is wrong, empty if nothing is.

#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <cmath>
#include <limits>
#include <string>

namespace support {

/// NaN and Inf make their own block NaN, canonical, and change no bit of any other.
template <class C> std::string non_finite_stays_in_its_block(C const& c, std::size_t block) {
  std::size_t const n = 5 * block + block / 2 + 1;
  auto x = gaussian_values(n, 21);
  auto const clean = bits_of(round_trip(c, x));
  x[block + 3] = quiet_nan;
  x[3 * block] = inf;
  x[n - 1] = -inf;
  auto const got = bits_of(round_trip(c, x));
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t const b = i / block;
    std::uint32_t const want = b == 1 || b == 3 || b == 5 ? 0x7fc00000u : clean[i];
    if (got[i] != want) return ccomp::text(c) + ": value " + std::to_string(i) + " of block " + std::to_string(b);
  }
  return {};
}

/// Any finite block decodes to finite numbers, blocks below 2^-118 to zero; feedback leaves x - Q(x), finite too.
/// `up_to`: cases with larger values are left out.
template <class C> std::string finite_blocks_stay_finite(C const& c, float up_to = std::numeric_limits<float>::max()) {
  for (std::size_t n : {std::size_t{1}, std::size_t{17}, std::size_t{5000}})
    for (auto const& [name, x] : finite_cases(n)) {
      float top = 0;
      for (float const v : x) top = std::fmax(top, std::fabs(v));
      if (top > up_to) continue;
      auto const where = ccomp::text(c) + ", " + name + ", n = " + std::to_string(n) + ": ";
      ccomp::host_exec const ex{1};
      ccomp::workspace ws{ex};
      payload_buffer payload(ccomp::payload_bytes(c, n));
      std::vector<float> rest(n, 0.0f), out(n);
      ccomp::encode_feedback(ex, c, x, std::span(rest), payload, ws, {.at = 0});
      ccomp::decode(ex, c, payload, out, ws);
      if (!payload.intact()) return where + "wrote beside the payload";
      for (std::size_t i = 0; i < n; ++i) {
        if (!std::isfinite(out[i])) return where + "decoded to " + std::to_string(out[i]);
        if (!std::isfinite(rest[i])) return where + "left " + std::to_string(rest[i]);
        if (top < 0x1p-118f && out[i] != 0) return where + "not zero";
        if (rest[i] != x[i] - out[i]) return where + "the residual is not what was left out";
      }
    }
  return {};
}

/// Payload and values are the same for every instruction set and number of threads, for odd sizes and odd values.
template <class C> std::string same_bits_everywhere(C const& c) {
  ccomp::pass_options const at{.at = 9, .tensor = 0x500000003u, .rank = 2};
  for (std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{333}, std::size_t{4097}})
    for (auto const& [name, x] : finite_cases(n))
      if (!same_everywhere(c, x, at)) return ccomp::text(c) + ", " + name + ", n = " + std::to_string(n);
  for (auto const& x : {any_finite_values(50'001, 3), heavy_tailed_values(7 * 65536 + 77, 4)})
    if (!same_everywhere(c, x, at)) return ccomp::text(c) + ", n = " + std::to_string(x.size());
  return {};
}

/// The mean of what `steps` steps decode to.
template <class C> std::vector<double> mean_over_steps(C const& c, std::vector<float> const& x, int steps) {
  std::vector<double> mean(x.size());
  for (int t = 0; t < steps; ++t) {
    auto const y = round_trip(c, x, {.at = t});
    for (std::size_t i = 0; i < x.size(); ++i) mean[i] += static_cast<double>(y[i]) / steps;
  }
  return mean;
}

/// A value that is rounded at random to `low` or `high` with expectation `target`, up to `bias`.
struct two_points {
  double low, high, target, bias;
  [[nodiscard]] double variance() const { return (target - low) * (high - target); }
};
/// Every mean lies within six standard errors of its target, and so does their normalised sum.
inline std::string unbiased(std::vector<double> const& mean, std::vector<two_points> const& points, int steps) {
  double sum = 0, bias = 0;
  std::size_t counted = 0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    auto const& p = points[i];
    double const error = std::sqrt(p.variance() / steps), off = mean[i] - p.target;
    // Rare jumps are Poisson, not normal: a few whole jumps are allowed beside the standard errors.
    if (std::fabs(off) > 6 * error + 8 * (p.high - p.low) / steps + p.bias)
      return "value " + std::to_string(i) + ": mean " + std::to_string(mean[i]) + " for " + std::to_string(p.target);
    if (p.variance() <= 0) continue;
    sum += off / error;
    bias += p.bias / error;
    ++counted;
  }
  double const all = std::sqrt(static_cast<double>(counted));
  if (counted > 0 && std::fabs(sum) > 5 * all + bias)
    return "all means are off by " + std::to_string(sum / all) + " sd";
  return {};
}

}  // namespace support
