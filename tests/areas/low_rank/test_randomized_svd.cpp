#include <support/codec.hpp>
#include <support/matrices.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#include <ccomp/low_rank/svd.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

double mean_squared_error(randomized_svd c, std::vector<float> const& m) {
  double sum = 0;
  for (c.seed = 0; c.seed < 16; ++c.seed) sum += squared_error(m, support::round_trip(c, m, {.at = 1}));
  return sum / 16;
}

}  // namespace

TEST_CASE("randomized_svd: the expected error keeps the bound of Halko, Martinsson and Tropp") {
  // The sums of the squared singular values from the fifth and the ninth on, of numpy.linalg.svd: see test_svd.cpp.
  struct {
    std::size_t rows, cols;
    double behind_4, behind_8;
  } constexpr known[] = {{24, 24, 493.70504285043523, 241.6992366947983},
                         {48, 30, 1374.9026268182197, 920.2969476183125},
                         {20, 64, 1191.1847491067444, 714.9210078880711}};
  for (auto const& k : known) {
    CAPTURE(k.rows);
    auto const m = support::formula_matrix(k.rows, k.cols);
    // What the space of all drawn vectors leaves out, Theorem 10.5: 1 + r / (p - 1) times the best of rank r, r + p drawn.
    double const nine = mean_squared_error({.rank = 9, .rows = k.rows, .power_iterations = 0, .oversampling = 0}, m);
    CHECK(nine <= (1 + 4.0 / (5 - 1)) * k.behind_4);
    double const twelve = mean_squared_error({.rank = 12, .rows = k.rows, .power_iterations = 0, .oversampling = 0}, m);
    CHECK(twelve <= (1 + 8.0 / (4 - 1)) * k.behind_8);
    // And what is dropped in that space besides: no more than the best of rank r drops.
    double plain = 0;
    for (std::uint32_t const iterations : {0u, 1u}) {
      double const four =
          mean_squared_error({.rank = 4, .rows = k.rows, .power_iterations = iterations, .oversampling = 5}, m);
      CHECK(four <= (2 + 4.0 / (5 - 1)) * k.behind_4);
      CHECK(four >= (1 - 1e-6) * k.behind_4);
      if (iterations == 0) plain = four;
      if (iterations == 1) CHECK(four < plain);
    }
  }
}

TEST_CASE("randomized_svd: where singular values fall off, power iterations find the best matrix") {
  for (auto const& shape : {std::pair<std::size_t, std::size_t>{48, 30}, {30, 48}}) {
    auto const rows = shape.first, cols = shape.second;
    auto m = support::product_matrix(rows, cols, 4);
    auto const rest = support::formula_matrix(rows, cols);
    for (std::size_t i = 0; i < m.size(); ++i) m[i] += 0.01f * rest[i];
    double const best = squared_error(m, support::round_trip(svd{.rank = 4, .rows = rows}, m));
    REQUIRE(best > 1e-5 * squared_norm(m));
    // The fifth singular value is below 0.1 of the fourth, and what is missing shrinks by its 4 q-th power: 1e-8. The
    // products with M are rounded to 2^-24 of its norm in each of some 50 sums: 3e-6 of it, or 1e-3 of the error's norm.
    // That lies in the space of P, the error outside of it, so that their squares add.
    CHECK(mean_squared_error({.rank = 4, .rows = rows, .power_iterations = 2}, m) <= (1 + 1e-5) * best);
  }
}

TEST_CASE("randomized_svd: rank-deficient, zero, huge and tiny matrices") {
  for (auto const& shape : {std::pair<std::size_t, std::size_t>{30, 40}, {40, 30}, {7, 90}}) {
    auto const rows = shape.first, cols = shape.second;
    CAPTURE(rows);
    randomized_svd const c{.rank = 6, .rows = rows};
    for (double const size : {1.0, 1e30, 1e-30}) {
      CAPTURE(size);
      auto const m = support::product_matrix(rows, cols, 3, size);
      CHECK(squared_error(m, support::round_trip(c, m)) < 1e-11 * squared_norm(m));
    }
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols))) REQUIRE(v == 0.0f);
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols, 3e38f)))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("randomized_svd: what is not finite makes the tensor NaN, and in a small dense one only the value") {
  for (float const poison : {support::quiet_nan, support::inf, -support::inf}) {
    auto m = support::formula_matrix(20, 30);
    m[77] = poison;
    for (float const v : support::round_trip(randomized_svd{.rank = 2, .rows = 20}, m))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    std::vector<float> few(10, 1.5f);
    few[3] = poison;
    auto const y = support::round_trip(randomized_svd{.rank = 4}, few);
    for (std::size_t i = 0; i < few.size(); ++i) CHECK(std::isfinite(y[i]) == (i != 3));
  }
}

TEST_CASE("randomized_svd: the conformance suite") {
  for (auto const& fault : support::whole_tensor_faults(randomized_svd{.rank = 2, .oversampling = 2}, {0, 1, 33, 601}))
    FAIL_CHECK(fault);
  for (auto const& fault : support::whole_tensor_faults(randomized_svd{.rank = 3, .rows = 12, .power_iterations = 0},
                                                        {12 * 30, 12 * 30 - 5}))
    FAIL_CHECK(fault);
}

TEST_CASE("randomized_svd: the same bits for any instruction set and number of threads") {
  CHECK(support::same_everywhere(randomized_svd{.rank = 3}, support::gaussian_values(300007, 5), {.at = 2}));
}

TEST_CASE("randomized_svd: automatic takes gather, and two_shot is refused before anything is sent") {
  CHECK(support::whole_collective_fault(randomized_svd{.rank = 2, .rows = 40}, 40 * 50) == "");
  CHECK(support::whole_collective_fault(any_compressor("randomized_svd(rank=2, rows=40)"), 40 * 50) == "");
}

TEST_CASE("randomized_svd: settings out of range are refused, and text brings a stage back") {
  auto const refused = [](randomized_svd const& c) {
    return support::refusal([&] { static_cast<void>(payload_bytes(c, 40)); });
  };
  CHECK(refused({.rank = 0}) == "randomized_svd: rank must lie in 1..1024, got 0");
  CHECK(refused({.rank = 1025}) == "randomized_svd: rank must lie in 1..1024, got 1025");
  CHECK(refused({.power_iterations = 65}) == "randomized_svd: power_iterations must lie in 0..64, got 65");
  CHECK(refused({.oversampling = 1025}) == "randomized_svd: oversampling must lie in 0..1024, got 1025");
  CHECK(
      refused({.rank = 5, .rows = 4}) ==
      "randomized_svd: rank is 5, and 40 values with rows=4 are a matrix of 4 x 10; take a smaller rank or other rows");
  CHECK(refused({.rank = 4, .rows = 4}) == "");
  CHECK(text(randomized_svd{.rank = 2, .power_iterations = 3}) == "randomized_svd(rank=2, power_iterations=3)");
  CHECK(any_compressor("randomized_svd(rank=4, rows=0, power_iterations=1, oversampling=8, seed=0)").text() ==
        "randomized_svd");
}
