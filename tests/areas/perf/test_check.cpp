#include <bench/perf/check.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace perf;

namespace {

constexpr double any_finite = std::numeric_limits<double>::infinity();

check_result checked(std::vector<float> const& got, std::vector<float> const& first, double slack) {
  return check_values(std::span(got), std::span(first),
                      [&](std::size_t i) { return expectation{static_cast<double>(i + 1), slack}; });
}

}

TEST_CASE("right values are not counted") {
  CHECK(checked({1, 2, 3}, {1, 2, 3}, 0).wrong == 0);
  CHECK(checked({1, 2, 3}, {}, 0).wrong == 0);
  CHECK(checked({1.5f, 2, 30}, {1.5f, 2, 30}, any_finite).wrong == 0);
}

TEST_CASE("values beyond the slack, not finite, or unlike rank 0's are wrong") {
  CHECK(checked({1, 2.5f, 3}, {1, 2.5f, 3}, 0.25).wrong == 1);
  CHECK(checked({1, 2.5f, 3}, {}, 0.5).wrong == 0);
  CHECK(checked({1, 2, 3.0000002f}, {1, 2, 3}, any_finite).wrong == 1);
  constexpr auto inf = std::numeric_limits<float>::infinity();
  constexpr auto nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(checked({inf, nan, -inf}, {inf, nan, -inf}, any_finite).wrong == 3);
  CHECK(checked({nan, 2, 3}, {}, 1).wrong == 1);
}

TEST_CASE("zeros of different signs are different bits") {
  std::vector<float> const got{-0.0f}, first{0.0f};
  CHECK(check_values(std::span(got), std::span(first), [](std::size_t) { return expectation{0, 0}; }).wrong == 1);
}

TEST_CASE("the error is of all values") {
  auto const found = checked({1, 2, 5}, {}, any_finite);
  CHECK(found.difference == 4);
  CHECK(found.norm == 14);
}

TEST_CASE("the slack of a sum covers float sums in any order, and no more than rounding") {
  float const first = 1, second = 0x1p-24f, third = 0x1p-24f;
  double const exact = 1 + 0x1p-23, slack = rounding_slack(ccomp::element_type::float32, 3, exact);
  CHECK(std::abs(static_cast<double>((first + second) + third) - exact) <= slack);
  CHECK(slack < 4 * 0x1p-24);
  CHECK(rounding_slack(ccomp::element_type::bfloat16, 2, 1) > 2 * 0x1p-8);
  CHECK(rounding_slack(ccomp::element_type::float16, 2, 1) < 0x1p-8);
}
