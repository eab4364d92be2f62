#include <bench/compare/prediction.hpp>
#include <bench/compare/statistics.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <span>
#include <vector>

using namespace compare;

TEST_CASE("break-even lies where both cost the same") {
  cost const dense{0.0, 1e9};
  cost const candidate{0.5, 1e8};
  auto const speed = break_even(candidate, dense);
  link_speed const link{"", speed};
  CHECK(candidate.seconds(link) == doctest::Approx(dense.seconds(link)));
  CHECK(candidate.seconds({"", speed / 2}) < dense.seconds({"", speed / 2}));
  CHECK(candidate.seconds({"", speed * 2}) > dense.seconds({"", speed * 2}));

  CHECK(break_even({0.5, 1e9}, dense) == 0);
  CHECK(break_even({0.5, 2e9}, dense) == 0);
  CHECK(break_even({0.5, 1e8}, {0.5, 1e9}) == always);
  CHECK(break_even({0.1, 1e8}, {0.5, 1e9}) == always);
}

TEST_CASE("dense bytes: 2 (W-1)/W of the tensor") {
  CHECK(dense_wire_bytes(1, 4e6) == 0);
  CHECK(dense_wire_bytes(2, 4e6) == 4e6);
  CHECK(dense_wire_bytes(4, 4e6) == 6e6);
}

TEST_CASE("the spread of a yardstick: what lasts counts, one interruption does not") {
  CHECK(spread_of({}, 1).relative == 0);
  CHECK(spread_of({1, 1}, 1).relative == 0);
  auto const quiet = spread_of({0.1, 0.1, 0.1, 0.1, 9, 0.1, 0.1, 0.1, 0.1}, 2);
  CHECK(quiet.relative == 0);
  CHECK(quiet.least == doctest::Approx(20));
  // Speeds 10, 10 and 5 units a second: (10 - 5) / 10.
  auto const busy = spread_of({0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.5, 0.5}, 1);
  CHECK(busy.relative == doctest::Approx(0.5));
  CHECK(busy.least == doctest::Approx(5));
  CHECK(busy.most == doctest::Approx(10));
}

TEST_CASE("medians and errors") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(std::isnan(median({})));
  std::vector<float> const a = {3, 4};
  std::vector<float> const b = {3, 4.5F};
  std::vector<double> const zero = {0, 0};
  CHECK(relative_error(std::span(b), std::span(a)) == doctest::Approx(0.1));
  CHECK(relative_error(std::span(a), std::span(a)) == 0);
  CHECK(relative_error(std::span(zero), std::span(a)) == 1);
  CHECK(std::isinf(relative_error(std::span(a), std::span(zero))));
  CHECK(cosine(a, a) == doctest::Approx(1));
  CHECK(cosine(a, std::vector<float>{-3, -4}) == doctest::Approx(-1));
  CHECK(cosine(a, std::vector<float>{4, -3}) == doctest::Approx(0));
}
