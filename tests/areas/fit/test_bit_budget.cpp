#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/fit.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

using namespace ccomp;
using detail::budget_points;

namespace {

struct spent {
  std::size_t bytes = 0;
  double error = 0;
};
spent total(std::vector<budget_points> const& tensors, std::vector<std::size_t> const& chosen) {
  spent sum;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    sum.bytes += tensors[t][chosen[t]].bytes;
    sum.error += tensors[t][chosen[t]].error;
  }
  return sum;
}
/// All choices, by bytes; each has the least error of those that take no more.
std::vector<spent> every_choice(std::vector<budget_points> const& tensors) {
  std::vector<spent> all;
  std::vector<std::size_t> chosen(tensors.size());
  for (;;) {
    all.push_back(total(tensors, chosen));
    std::size_t t = 0;
    while (t < tensors.size() && ++chosen[t] == tensors[t].size()) chosen[t++] = 0;
    if (t == tensors.size()) break;
  }
  std::ranges::sort(all, {}, &spent::bytes);
  for (std::size_t i = 1; i < all.size(); ++i) all[i].error = std::min(all[i].error, all[i - 1].error);
  return all;
}
double least_error(std::vector<spent> const& all, std::size_t bytes) {
  auto const beyond = std::ranges::upper_bound(all, bytes, {}, &spent::bytes);
  return std::prev(beyond)->error;
}
/// Errors of some quantizers fall by about 4 per bit; these, some more and some less, so that hulls leave points out.
std::vector<budget_points> some_tensors(std::uint64_t seed) {
  support::generator g(seed);
  std::vector<budget_points> tensors(5);
  for (auto& points : tensors) {
    std::size_t const step = 16 * (1 + g.next() % 40);
    double error = std::exp(6 * g.uniform());
    for (std::size_t bits = 1; bits <= 7; ++bits) {
      points.push_back({bits * step + 16 * (g.next() % 3), error});
      error *= 0.1 + 0.6 * g.uniform();
    }
  }
  return tensors;
}

}  // namespace

TEST_CASE("spread_budget: no choice of all is better, or by at most the step that did not fit") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    auto const tensors = some_tensors(seed);
    auto const all = every_choice(tensors);
    auto const steps = detail::hull_steps(tensors);
    std::size_t const least = detail::least_bytes(tensors);
    CHECK(all.front().bytes == least);
    // At its own budgets the greedy choice is the best one, whatever the rounding of sums.
    std::size_t bytes = least;
    for (auto const& step : steps) {
      bytes += step.bytes;
      auto const got = total(tensors, detail::spread_budget(tensors, bytes));
      CHECK(got.bytes == bytes);
      CHECK(got.error == doctest::Approx(least_error(all, bytes)).epsilon(1e-12));
    }
    // At any other it lacks at most the first step that found no room.
    for (std::size_t budget = least; budget < bytes; budget += 16) {
      auto const got = total(tensors, detail::spread_budget(tensors, budget));
      REQUIRE(got.bytes <= budget);
      std::size_t taken = least, i = 0;
      while (taken + steps[i].bytes <= budget) taken += steps[i++].bytes;
      REQUIRE(got.error <= least_error(all, budget) + steps[i].saved);
    }
  }
}

TEST_CASE("spread_budget: ties go to the tensor that comes first") {
  budget_points const same{{16, 8}, {32, 4}, {48, 3}};
  std::vector<budget_points> const tensors{same, same, same};
  CHECK(detail::spread_budget(tensors, 48) == std::vector<std::size_t>{0, 0, 0});
  CHECK(detail::spread_budget(tensors, 64) == std::vector<std::size_t>{1, 0, 0});
  CHECK(detail::spread_budget(tensors, 80) == std::vector<std::size_t>{1, 1, 0});
  CHECK(detail::spread_budget(tensors, 112) == std::vector<std::size_t>{2, 1, 1});
}

TEST_CASE("spread_budget: what no step of a hull can use goes to the largest saving") {
  // The middle points lie above the hulls.
  std::vector<budget_points> const tensors{{{16, 100}, {48, 90}, {80, 10}}, {{16, 100}, {48, 80}, {112, 0}}};
  CHECK(detail::hull_steps(tensors).size() == 2);
  CHECK(detail::spread_budget(tensors, 32 + 31) == std::vector<std::size_t>{0, 0});
  CHECK(detail::spread_budget(tensors, 32 + 32) == std::vector<std::size_t>{0, 1});
  CHECK(detail::spread_budget(tensors, 32 + 64) == std::vector<std::size_t>{2, 0});
  CHECK(detail::spread_budget(tensors, 32 + 64 + 32) == std::vector<std::size_t>{2, 1});
}

TEST_CASE("fit_bit_budget: measured tensors, small ones too") {
  auto const a = support::gaussian_values(5000, 81, 3), b = support::gaussian_values(40, 82),
             c = support::heavy_tailed_values(3000, 83), zeros = std::vector<float>(700, 0.0f);
  std::vector<std::vector<float>> const history{support::gaussian_values(2000, 84), support::gaussian_values(2000, 85)};
  std::vector<fit_samples> const tensors{a, b, c, zeros, history};
  std::size_t const values = 5000 + 40 + 3000 + 700 + 2000;
  std::vector<budget_points> points;
  for (auto const& samples : tensors) {
    budget_points own;
    for (auto const& text : width_texts()) {
      auto const m = text == "sign_quantize" ? measure_error(host_exec{1}, samples, any_compressor(text))
                                             : fit_clip(host_exec{1}, samples, text).measured;
      double const error = m.squared_error / static_cast<double>(m.samples);
      if (!own.empty() && own.back().error <= error) continue;
      if (!own.empty() && own.back().bytes == m.payload_bytes) own.pop_back();
      own.push_back({m.payload_bytes, error});
    }
    points.push_back(own);
  }
  auto const all = every_choice(points);
  auto const steps = detail::hull_steps(points);
  for (double const bits : {1.5, 2.0, 3.3, 5.0, 40.0}) {
    CAPTURE(bits);
    auto const fitted = fit_bit_budget(host_exec{1}, tensors, bits);
    REQUIRE(fitted.size() == 5);
    spent sum;
    for (std::size_t t = 0; t < 5; ++t) {
      auto const& m = fitted[t].measured;
      sum.bytes += m.payload_bytes;
      sum.error += m.squared_error / static_cast<double>(m.samples);
      CHECK(m.payload_bytes == payload_bytes(any_compressor(fitted[t].text()), m.values));
    }
    CHECK(static_cast<double>(8 * sum.bytes) <= bits * static_cast<double>(values));
    std::size_t taken = detail::least_bytes(points), i = 0;
    auto const budget = static_cast<std::size_t>(bits * static_cast<double>(values) / 8);
    while (i < steps.size() && taken + steps[i].bytes <= budget) taken += steps[i++].bytes;
    CHECK(sum.error <= (least_error(all, budget) + (i < steps.size() ? steps[i].saved : 0)) * (1 + 1e-12));
    CHECK(fitted[3].text() == "sign_quantize");  // zeros
  }
}

TEST_CASE("fit_bit_budget: what is refused") {
  auto const a = support::gaussian_values(1000, 86), b = support::gaussian_values(3, 87);
  std::vector<fit_samples> const tensors{a, b};
  // sign_quantize: 16 and 128 bytes of 1000 values, 16 and 16 of 3 values.
  CHECK_THROWS_WITH_AS(fit_bit_budget(host_exec{1}, tensors, 1.2),
                       doctest::Contains("these tensors take at least 1.41 bits per value, the budget is 1.2"),
                       invalid_argument);
  CHECK(fit_bit_budget(host_exec{1}, tensors, 1.41).size() == 2);
  for (double const bad : {0.0, -1.0, std::nan(""), HUGE_VAL})
    CHECK_THROWS_WITH_AS(fit_bit_budget(host_exec{1}, tensors, bad),
                         doctest::Contains("the budget must be a number above 0"), invalid_argument);
  CHECK_THROWS_WITH_AS(fit_bit_budget(host_exec{1}, {}, 4), doctest::Contains("there are no tensors"),
                       invalid_argument);
  std::vector<float> const none;
  std::vector<fit_samples> const with_none{a, none};
  CHECK_THROWS_WITH_AS(fit_bit_budget(host_exec{1}, with_none, 4),
                       doctest::Contains("fit_bit_budget: tensor 1: the data has no values"), invalid_argument);
}
