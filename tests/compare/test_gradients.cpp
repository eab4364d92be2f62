#include <doctest/doctest.h>

#include <algorithm>
#include <bench/compare/distribution.hpp>
#include <bench/compare/gradients.hpp>
#include <bench/compare/user_error.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

using namespace compare;

namespace {

npy_array array_of(std::size_t rows, std::size_t columns) {
  npy_array array{rows, columns, "float32", std::vector<float>(rows * columns)};
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    array.values[i] = std::sin(static_cast<float>(i + 1)) * (i % 2 == 0 ? 1.0F : 1e-3F);
  }
  return array;
}

std::vector<float> copy(std::span<float const> row) { return {row.begin(), row.end()}; }

}

TEST_CASE("ranks: as wanted, else the rows, else four") {
  CHECK(gradients(array_of(3, 10), {}).ranks() == 3);
  CHECK(gradients(array_of(1, 10), {}).ranks() == 4);
  CHECK(gradients(array_of(3, 10), 2).ranks() == 2);
  CHECK(gradients(array_of(3, 10), 2).file_rows() == 2);
  CHECK(gradients(array_of(3, 10), 7).file_rows() == 3);
  CHECK(gradients(array_of(100, 2), 64).ranks() == 64);
  CHECK_THROWS_AS(gradients(array_of(100, 2), {}), user_error);
}

TEST_CASE("ranks without a row take another's, smaller and all different") {
  auto const file = array_of(2, 1000);
  gradients const input(file, 7);
  std::set<std::vector<float>> all;
  for (int rank = 0; rank < 7; ++rank) {
    all.insert(copy(input.row(rank)));
    auto const from = std::span(file.values).subspan(static_cast<std::size_t>(rank % 2) * 1000, 1000);
    for (std::size_t i = 0; i < 1000; ++i) {
      auto const factor = input.row(rank)[i] / from[i];
      REQUIRE(factor <= 1);
      REQUIRE(factor >= (rank < 2 ? 1.0F : 0.5F));
    }
  }
  CHECK(all.size() == 7);
  CHECK(copy(gradients(file, 7).row(6)) == copy(input.row(6)));
}

TEST_CASE("values that no error can be measured on are refused") {
  for (float const bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto array = array_of(2, 5);
    array.values[7] = bad;
    CHECK_THROWS_WITH_AS(gradients(array, {}), doctest::Contains("row 1, index 2"), user_error);
    CHECK_NOTHROW(gradients(array, 1));  // the damaged row is not used
  }
  auto zeros = array_of(2, 5);
  std::fill_n(zeros.values.begin(), 5, 0.0F);
  CHECK_THROWS_AS(gradients(zeros, {}), user_error);
}

TEST_CASE("copies are scaled by 1 - i/256") {
  auto const file = array_of(1, 10);
  std::vector<float> out(10 * 300 + 3);
  repeat_row(file.values, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto const factor = 1.0F - static_cast<float>(i / 10 % 256) / 256.0F;
    REQUIRE(out[i] == file.values[i % 10] * factor);
  }
}

TEST_CASE("the distribution counts every value once") {
  std::vector<float> const values = {-1, -0.5F, 0, 0, 0.25F, 1};
  auto const found = measure_distribution(values, 1.0, 5);
  CHECK(found.counts == std::vector<std::size_t>{1, 1, 2, 1, 1});
  CHECK(found.zeros == 2);
  CHECK(found.max_abs == 1);
  CHECK(found.rms == doctest::Approx(std::sqrt(2.3125 / 6)));
  CHECK(found.abs_quantiles.front().second == 0.25);
  CHECK(found.abs_quantiles.back().second == 1);
  auto const zeros = measure_distribution(std::vector<float>(4), 0.0, 5);
  CHECK(zeros.counts == std::vector<std::size_t>{0, 0, 4, 0, 0});
}
