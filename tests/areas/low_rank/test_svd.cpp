#include <support/codec.hpp>
#include <support/matrices.hpp>
#include <support/trained.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/svd.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

/// Of numpy.linalg.svd (numpy 1.24.2, LAPACK's gesdd, float64) for formula_matrix(rows, cols): the sums of the squared
/// singular values from the second, the fifth and the ninth on.
struct dropped_squares {
  std::size_t rows, cols;
  double behind_1, behind_4, behind_8;
};
constexpr dropped_squares known_matrices[] = {
    {24, 24, 1207.2672661549223, 493.70504285043523, 241.6992366947983},
    {48, 30, 2883.8293687274704, 1374.9026268182197, 920.2969476183125},
    {20, 64, 2529.2541739799335, 1191.1847491067444, 714.9210078880711},
    {256, 256, 135928.02975256852, 84141.65111640828, 79985.13803950492},
};

}  // namespace

TEST_CASE("svd: the squared error is the sum of the dropped squared singular values") {
  for (auto const& known : known_matrices)
    for (auto const& best : {std::pair{1u, known.behind_1}, {4u, known.behind_4}, {8u, known.behind_8}}) {
      auto const rank = best.first;
      if (known.rows == 256 && rank != 4) continue;
      CAPTURE(known.rows);
      CAPTURE(rank);
      auto const m = support::formula_matrix(known.rows, known.cols);
      auto const y = support::round_trip(svd{.rank = rank, .rows = known.rows}, m);
      // The factors are rounded to float once: 2^-24 of each product, and the sum of `rank` products in float.
      CHECK(squared_error(m, y) == doctest::Approx(best.second).epsilon(1e-6));
    }
}

TEST_CASE("svd: the full rank gives back the matrix, and a lower one a matrix of that rank") {
  for (auto const& shape : {std::pair<std::size_t, std::size_t>{12, 12}, {40, 9}, {9, 40}, {1, 7}, {7, 1}}) {
    auto const rows = shape.first, cols = shape.second;
    CAPTURE(rows);
    auto const m = support::formula_matrix(rows, cols);
    auto const least = static_cast<std::uint32_t>(std::min(rows, cols));
    CHECK(squared_error(m, support::round_trip(svd{.rank = least, .rows = rows}, m)) < 1e-11 * squared_norm(m));
    // Coded once more, what came out is left as it is: its dropped singular values are zero, but for rounding to float.
    std::uint32_t const half = (least + 1) / 2;
    auto const once = support::round_trip(svd{.rank = half, .rows = rows}, m);
    CHECK(squared_error(once, support::round_trip(svd{.rank = half, .rows = rows}, once)) < 1e-11 * squared_norm(m));
  }
}

TEST_CASE("svd: the columns of P are orthonormal, but for a power of two, and their largest entries positive") {
  for (std::size_t rows : {20u, 64u}) {
    std::size_t const cols = 30, rank = 5;
    auto const m = support::formula_matrix(rows, cols);
    auto const bytes = support::encoded(svd{.rank = rank, .rows = rows}, m);
    support::check_orthonormal(bytes, rows, rank, 4 * 0x1p-24);  // each entry is rounded to float
  }
}

TEST_CASE("svd: rank-deficient, zero, huge and tiny matrices") {
  for (auto const& shape : {std::pair<std::size_t, std::size_t>{30, 40}, {40, 30}}) {
    auto const rows = shape.first, cols = shape.second;
    CAPTURE(rows);
    svd const c{.rank = 6, .rows = rows};
    for (double const size : {1.0, 1e30, 1e-30}) {
      CAPTURE(size);
      auto const m = support::product_matrix(rows, cols, 3, size);
      CHECK(squared_error(m, support::round_trip(c, m)) < 1e-12 * squared_norm(m));
    }
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols))) REQUIRE(v == 0.0f);
    // Subnormal values are whole multiples of 2^-149: no matrix of a low rank, but nearly. All 30 directions are sent; of
    // each value, 30 factors and 30 products are rounded to such a multiple.
    auto const tiny = support::product_matrix(rows, cols, 2, 1e-42);
    auto const back = support::round_trip(svd{.rank = 30, .rows = rows}, tiny);
    for (std::size_t i = 0; i < tiny.size(); ++i) REQUIRE(std::abs(back[i] - tiny[i]) <= 30 * 0x1p-149f);
    // A product of factors this large could overflow: NaN, not Inf.
    for (float const v : support::round_trip(c, std::vector<float>(rows * cols, 3e38f)))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("svd: what is not finite makes the tensor NaN, and in a small dense one only the value") {
  for (float const poison : {support::quiet_nan, support::inf, -support::inf}) {
    auto m = support::formula_matrix(20, 30);
    m[77] = poison;
    for (float const v : support::round_trip(svd{.rank = 2, .rows = 20}, m))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    std::vector<float> few(10, 1.5f);
    few[3] = poison;
    auto const y = support::round_trip(svd{.rank = 4}, few);
    for (std::size_t i = 0; i < few.size(); ++i) CHECK(std::isfinite(y[i]) == (i != 3));
  }
}

TEST_CASE("svd: the conformance suite") {
  for (auto const& fault : support::whole_tensor_faults(svd{.rank = 2}, {0, 1, 33, 257, 601})) FAIL_CHECK(fault);
  for (auto const& fault : support::whole_tensor_faults(svd{.rank = 3, .rows = 12}, {12 * 30, 12 * 30 - 5, 3 * 12}))
    FAIL_CHECK(fault);
}

TEST_CASE("svd: the same bits for any instruction set and number of threads") {
  CHECK(support::same_everywhere(svd{.rank = 3, .rows = 70}, support::gaussian_values(70 * 2003, 5)));
  CHECK(support::same_everywhere(svd{.rank = 3, .rows = 2003}, support::gaussian_values(70 * 2003, 5)));
}

TEST_CASE("svd: automatic takes gather, and two_shot is refused before anything is sent") {
  CHECK(support::whole_collective_fault(svd{.rank = 2, .rows = 40}, 40 * 50) == "");
  CHECK(support::whole_collective_fault(any_compressor("svd(rank=2, rows=40)"), 40 * 50) == "");
}

TEST_CASE("svd: with feedback the mean of the outputs converges as 1/T") {
  auto const m = support::formula_matrix(24, 24);
  support::trained<svd> all(svd{.rank = 4, .rows = 24}, 1, m.size());
  std::vector<double> sum(m.size());
  double at_16 = 0, at_64 = 0;
  for (std::uint64_t t = 1; t <= 64; ++t) {
    auto const out = all.step(support::per_rank<float>{m}, t);
    double error = 0;
    for (std::size_t i = 0; i < m.size(); ++i) {
      sum[i] += static_cast<double>(out[0][i]);
      double const d = sum[i] / static_cast<double>(t) - static_cast<double>(m[i]);
      error += d * d;
    }
    if (t == 16) at_16 = std::sqrt(error);
    if (t == 64) at_64 = std::sqrt(error);
  }
  // The residual e has |e|^2 <= (1 - c) |m + e|^2 with c = rank / 24, so |e| <= |m| q / (1 - q) with q^2 = 1 - c.
  double const q = std::sqrt(1 - 4.0 / 24), bound = std::sqrt(squared_norm(m)) * q / (1 - q);
  CHECK(at_16 <= bound / 16);
  CHECK(at_64 <= bound / 64);
  CHECK(at_64 < 0.5 * at_16);
}

TEST_CASE("svd: settings out of range are refused, and text brings a stage back") {
  for (std::uint32_t const rank : {0u, 1025u})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes(svd{.rank = rank}, 10)), invalid_argument);
  CHECK(support::refusal([] { static_cast<void>(payload_bytes(svd{.rank = 5, .rows = 4}, 40)); }) ==
        "svd: rank is 5, and 40 values with rows=4 are a matrix of 4 x 10; take a smaller rank or other rows");
  CHECK(payload_bytes(svd{.rank = 5, .rows = 4}, 0) == 0);
  CHECK(payload_bytes(svd{.rank = 4, .rows = 4}, 40) == 4 * 4 * (4 + 10));  // more than 40 values: the shape counts
  CHECK(payload_bytes(svd{.rank = 4}, 40) == 4 * 40);
  CHECK(payload_bytes(svd{.rank = 1, .rows = 100}, 100) == 416);  // 4 (100 + 1) is no multiple of 16
  CHECK(text(svd{.rank = 2, .rows = 7}) == "svd(rank=2, rows=7)");
  CHECK(any_compressor("svd(rank=4, rows=0)").text() == "svd");
}
