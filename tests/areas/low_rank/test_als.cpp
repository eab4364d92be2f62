#include <support/codec.hpp>
#include <support/matrices.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/als.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

/// Of numpy.linalg.svd (numpy 1.24.2, LAPACK's gesdd, float64) for formula_matrix(rows, cols): the second singular value, and
/// the sum of the squares from the third on.
struct als_matrix {
  std::size_t rows, cols;
  double second, behind_2;
};
constexpr als_matrix als_matrices[] = {{24, 24, 23.138886225839794, 671.8592103825637},
                                       {48, 30, 34.93543098746641, 1663.3450304474418},
                                       {20, 64, 32.42593028048124, 1477.8132194253026}};

double penalty_of(als const& c, std::vector<float> const& m) {
  auto const rows = static_cast<double>(c.rows), cols = static_cast<double>(m.size()) / rows;
  return static_cast<double>(c.regularization) * std::sqrt(squared_norm(m) / std::min(rows, cols));
}
double penalised_error(als const& c, std::vector<float> const& m) {
  auto const bytes = support::encoded(c, m);
  std::vector<float> factors(bytes.size() / sizeof(float));
  std::memcpy(factors.data(), bytes.data(), bytes.size());  // padding is zero
  return squared_error(m, support::decoded(c, bytes, m.size())) + penalty_of(c, m) * squared_norm(factors);
}

}  // namespace

TEST_CASE("als: the error approaches that of Eckart and Young as the penalty vanishes") {
  for (auto const& known : als_matrices) {
    CAPTURE(known.rows);
    auto const m = support::formula_matrix(known.rows, known.cols);
    // The third singular value is below 0.43 of the second; per iteration what is missing shrinks by the fourth power.
    als const c{.rank = 2, .rows = known.rows, .iterations = 40, .regularization = 1e-9f};
    CHECK(squared_error(m, support::round_trip(c, m)) == doctest::Approx(known.behind_2).epsilon(1e-6));
  }
}

TEST_CASE("als: with a penalty, each singular value that is kept is sent smaller by it") {
  for (auto const& known : als_matrices) {
    CAPTURE(known.rows);
    auto const m = support::formula_matrix(known.rows, known.cols);
    als const c{.rank = 2, .rows = known.rows, .iterations = 300, .regularization = 0.3f};
    double const l = penalty_of(c, m);
    REQUIRE(l < known.second);
    CHECK(squared_error(m, support::round_trip(c, m)) == doctest::Approx(known.behind_2 + 2 * l * l).epsilon(1e-6));
  }
}

TEST_CASE("als: the penalised error never rises") {
  for (auto const& known : als_matrices)
    for (float const regularization : {1e-9f, 1e-3f, 0.3f}) {
      CAPTURE(regularization);
      auto const m = support::formula_matrix(known.rows, known.cols);
      double before = squared_norm(m), first = 0;
      for (std::uint32_t i = 1; i <= 12; ++i) {
        double const now =
            penalised_error({.rank = 4, .rows = known.rows, .iterations = i, .regularization = regularization}, m);
        CHECK(now <= before + 1e-7 * squared_norm(m));  // factors are rounded to float
        before = now;
        if (i == 1) first = now;
      }
      CHECK(before < 0.999 * first);
    }
}

TEST_CASE("als: rank-deficient, zero, huge and tiny matrices") {
  for (auto const& shape : {std::pair<std::size_t, std::size_t>{30, 40}, {40, 30}}) {
    auto const rows = shape.first, cols = shape.second;
    CAPTURE(rows);
    als const c{.rank = 6, .rows = rows, .regularization = 1e-9f};
    for (double const size : {1.0, 1e30, 1e-30}) {
      CAPTURE(size);
      auto const m = support::product_matrix(rows, cols, 3, size);
      CHECK(squared_error(m, support::round_trip(c, m)) < 1e-12 * squared_norm(m));
    }
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols))) REQUIRE(v == 0.0f);
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols, 3e38f)))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("als: what is not finite makes the tensor NaN, and in a small dense one only the value") {
  for (float const poison : {support::quiet_nan, support::inf, -support::inf}) {
    auto m = support::formula_matrix(20, 30);
    m[77] = poison;
    for (float const v : support::round_trip(als{.rank = 2, .rows = 20}, m))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    std::vector<float> few(10, 1.5f);
    few[3] = poison;
    auto const y = support::round_trip(als{.rank = 4}, few);
    for (std::size_t i = 0; i < few.size(); ++i) CHECK(std::isfinite(y[i]) == (i != 3));
  }
}

TEST_CASE("als: the conformance suite") {
  for (auto const& fault : support::whole_tensor_faults(als{.rank = 2}, {0, 1, 33, 601})) FAIL_CHECK(fault);
  for (auto const& fault :
       support::whole_tensor_faults(als{.rank = 3, .rows = 12, .iterations = 2}, {12 * 30, 12 * 30 - 5, 3 * 12}))
    FAIL_CHECK(fault);
}

TEST_CASE("als: the same bits for any instruction set and number of threads") {
  auto const x = support::gaussian_values(70 * 2003, 5);
  CHECK(support::same_everywhere(als{.rank = 3, .rows = 70, .iterations = 2}, x, {.at = 2}));
  CHECK(support::same_everywhere(als{.rank = 3, .rows = 2003, .iterations = 2}, x, {.at = 2}));
}

TEST_CASE("als: automatic takes gather, and two_shot is refused before anything is sent") {
  CHECK(support::whole_collective_fault(als{.rank = 2, .rows = 40}, 40 * 50) == "");
  CHECK(support::whole_collective_fault(any_compressor("als(rank=2, rows=40)"), 40 * 50) == "");
}

TEST_CASE("als: settings out of range are refused, and text brings a stage back") {
  auto const refused = [](als const& c) { return support::refusal([&] { static_cast<void>(payload_bytes(c, 40)); }); };
  CHECK(refused({.rank = 0}) == "als: rank must lie in 1..1024, got 0");
  CHECK(refused({.iterations = 0}) == "als: iterations must lie in 1..1000, got 0");
  CHECK(refused({.iterations = 1001}) == "als: iterations must lie in 1..1000, got 1001");
  CHECK(refused({.regularization = 0}) == "als: regularization must lie in 1e-9..1, got 0");
  CHECK(refused({.regularization = 1.5f}) == "als: regularization must lie in 1e-9..1, got 1.5");
  CHECK(refused({.regularization = support::quiet_nan}).starts_with("als: regularization must lie in 1e-9..1, got "));
  CHECK(refused({.rank = 5, .rows = 4}) ==
        "als: rank is 5, and 40 values with rows=4 are a matrix of 4 x 10; take a smaller rank or other rows");
  CHECK(text(als{.rank = 2, .regularization = 0.5f}) == "als(rank=2, regularization=0.5)");
  CHECK(any_compressor("als(rank=4, rows=0, iterations=10, regularization=0.001, seed=0)").text() == "als");
}
