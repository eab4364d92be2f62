#include <bench/compare/distribution.hpp>
#include <bench/compare/gradients.hpp>
#include <bench/compare/user_error.hpp>
#include <support/float_bits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace compare;

namespace {

npy_array array_of(std::size_t rows, std::size_t columns) {
  npy_array array{{rows, columns}, "float32", std::vector<float>(rows * columns)};
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    array.values[i] = std::sin(static_cast<float>(i + 1)) * (i % 2 == 0 ? 1.0F : 1e-3F);
  }
  return array;
}

std::vector<float> copy(std::span<float const> row) { return {row.begin(), row.end()}; }

}

TEST_CASE("a matrix of up to 64 rows, or with ranks asked for, is ranks; any other shape is one rank's tensor") {
  auto const shaped = [](std::vector<std::size_t> const& shape) {
    auto array = array_of(1, 1);
    std::size_t count = 1;
    for (auto const extent : shape) count *= extent;
    array.values.resize(count, 1.0F);
    array.shape = shape;
    return array;
  };
  struct example {
    std::vector<std::size_t> shape;
    std::optional<int> wanted;
    int ranks, file_rows;
    std::size_t size;
    std::string sentence;
  };
  for (auto const& each : std::vector<example>{
           {{64, 3}, {}, 64, 64, 3, "float32 [64, 3] is read as 64 ranks of 3 values, one row each."},
           {{65, 3},
            {},
            4,
            1,
            195,
            "float32 [65, 3] is read as one rank's tensor of 195 values, since 65 rows are more than 64 ranks (with "
            "--ranks, each row is one rank); ranks 1 to 3 are derived from it."},
           {{65, 3},
            2,
            2,
            2,
            3,
            "float32 [65, 3] is read as 2 ranks of 3 values, one row each (the first 2 of 65 rows)."},
           {{768, 1},
            1,
            1,
            1,
            1,
            "float32 [768, 1] is read as 1 rank of 1 value, one row each (the first 1 of 768 rows)."},
           {{2, 5},
            3,
            3,
            2,
            5,
            "float32 [2, 5] is read as 2 ranks of 5 values, one row each; rank 2 is derived from them."},
           {{1, 5},
            {},
            4,
            1,
            5,
            "float32 [1, 5] is read as 1 rank of 5 values, one row each; ranks 1 to 3 are derived from it."},
           {{6}, 1, 1, 1, 6, "float32 [6] is read as one rank's tensor of 6 values."},
           {{2, 3, 4},
            {},
            4,
            1,
            24,
            "float32 [2, 3, 4] is read as one rank's tensor of 24 values; ranks 1 to 3 are derived from it."},
           {{2, 3, 4},
            2,
            2,
            1,
            24,
            "float32 [2, 3, 4] is read as one rank's tensor of 24 values; rank 1 is derived from it."},
           {{}, 1, 1, 1, 1, "float32 [] is read as one rank's tensor of 1 value."}}) {
    gradients const input(shaped(each.shape), each.wanted);
    CHECK(input.reading() == each.sentence);
    CHECK(input.ranks() == each.ranks);
    CHECK(input.file_rows() == each.file_rows);
    CHECK(input.size() == each.size);
  }
}

TEST_CASE("ranks: as wanted, else the rows, else four") {
  CHECK(gradients(array_of(3, 10), {}).ranks() == 3);
  CHECK(gradients(array_of(1, 10), {}).ranks() == 4);
  CHECK(gradients(array_of(3, 10), 2).ranks() == 2);
  CHECK(gradients(array_of(3, 10), 2).file_rows() == 2);
  CHECK(gradients(array_of(3, 10), 7).file_rows() == 3);
  CHECK(gradients(array_of(100, 2), 64).ranks() == 64);
  CHECK(gradients(array_of(100, 2), {}).ranks() == 4);
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
  for (float const bad : {support::quiet_nan, support::inf}) {
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
