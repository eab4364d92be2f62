#include <support/codec.hpp>
#include <support/matrices.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/tensor_train.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

/// formula_matrix(rows, cols), seen as a tensor. Of numpy 1.24.2 (linalg.svd, LAPACK's gesdd, float64): the squared error of the
/// TT-SVD, and the largest of the unfoldings' sums of dropped squares, which no tensor of these ranks goes below.
struct train_tensor {
  std::size_t rows, cols;
  tensor_train stage;
  double error, least;
};
train_tensor const train_tensors[] = {
    {6, 56, {.shape = {6, 7, 8}, .ranks = {4, 5}}, 256.38938574111427, 172.61279213579678},
    {20, 18, {.shape = {4, 5, 3, 6}, .ranks = {3, 6, 4}}, 312.21769509974297, 170.1731159681374},
    {16,
     16,
     {.shape = {2, 2, 2, 2, 2, 2, 2, 2}, .ranks = {2, 3, 4, 5, 4, 3, 2}},
     269.7799336377671,
     151.27146736698148},
    {3, 4, {.shape = {3, 4}, .ranks = {2}}, 6.6532374949029265, 6.653237494902925},
};

/// A product of three random cores.
std::vector<float> train_of_rank(std::size_t a, std::size_t b, std::size_t c, std::size_t rank, double size) {
  auto const first = support::gaussian_values(a * rank, 1), middle = support::gaussian_values(rank * b * rank, 2),
             last = support::gaussian_values(rank * c, 3);
  std::vector<float> x;
  for (std::size_t i = 0; i < a * b * c; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < rank * rank; ++k)
      sum += static_cast<double>(first[i / (b * c) * rank + k / rank]) *
             static_cast<double>(middle[(k / rank * b + i / c % b) * rank + k % rank]) *
             static_cast<double>(last[k % rank * c + i % c]);
    x.push_back(static_cast<float>(size * sum));
  }
  return x;
}

}  // namespace

TEST_CASE("tensor_train: the error is that of TT-SVD, and within sqrt(d - 1) of the best") {
  for (auto const& known : train_tensors) {
    CAPTURE(text(known.stage));
    auto const x = support::formula_matrix(known.rows, known.cols);
    double const error = squared_error(x, support::round_trip(known.stage, x));
    CHECK(error == doctest::Approx(known.error).epsilon(1e-6));  // cores are rounded to float
    CHECK(error <= static_cast<double>(known.stage.ranks.size()) * (1 + 1e-6) * known.least);
    CHECK(error >= (1 - 1e-6) * known.least);
  }
}

TEST_CASE("tensor_train: tensors of the ranks come through, at any size") {
  tensor_train const c{.shape = {9, 7, 11}, .ranks = {4, 4}};
  for (double const size : {1.0, 1e30, 1e-30}) {
    CAPTURE(size);
    auto const x = train_of_rank(9, 7, 11, 3, size);
    CHECK(squared_error(x, support::round_trip(c, x)) < 1e-12 * squared_norm(x));
  }
  for (float const v : support::round_trip(c, std::vector<float>(693))) REQUIRE(v == 0.0f);
  for (float const v : support::round_trip(c, std::vector<float>(693, 3e38f)))
    REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  auto const any = support::gaussian_values(693, 1);
  CHECK(squared_error(any, support::round_trip(tensor_train{.shape = {9, 7, 11}, .ranks = {9, 11}}, any)) <
        1e-12 * squared_norm(any));
  auto const tall = support::gaussian_values(40 * 3 * 2, 1);
  CHECK(squared_error(tall, support::round_trip(tensor_train{.shape = {40, 3, 2}, .ranks = {6, 2}}, tall)) <
        1e-12 * squared_norm(tall));
}

TEST_CASE("tensor_train: what is not finite makes the tensor NaN") {
  tensor_train const c{.shape = {9, 7, 11}, .ranks = {3, 3}};
  for (float const poison : {support::quiet_nan, support::inf, -support::inf}) {
    auto x = support::gaussian_values(693, 1);
    x[77] = poison;
    for (float const v : support::round_trip(c, x)) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("tensor_train: with a tolerance, the ranks are the smallest that keep it") {
  // Of numpy 1.24.2 (linalg.svd, float64), by the same rule: the ranks, and the squared error of the product of the cores.
  struct {
    std::size_t rows, cols;
    tensor_train stage;
    std::vector<std::uint32_t> ranks;
    double error;
  } const known[] = {
      {6, 56, {.shape = {6, 7, 8}, .tolerance = 0.3f}, {5, 7}, 82.57590112337314},
      {6, 56, {.shape = {6, 7, 8}, .tolerance = 0.5f}, {4, 5}, 256.38938574111427},
      {20, 18, {.shape = {4, 5, 3, 6}, .tolerance = 0.5f}, {4, 8, 4}, 215.44658469058896},
      {16, 16, {.shape = {2, 2, 2, 2, 2, 2, 2, 2}, .tolerance = 0.3f}, {2, 4, 8, 11, 7, 4, 2}, 21.536810563387373}};
  for (auto const& k : known) {
    CAPTURE(text(k.stage));
    auto const x = support::formula_matrix(k.rows, k.cols);
    auto const bytes = support::encoded(k.stage, x);
    std::vector<std::uint32_t> ranks(k.ranks.size());
    std::memcpy(ranks.data(), bytes.data(), ranks.size() * sizeof(std::uint32_t));
    CHECK(ranks == k.ranks);
    double const error = squared_error(x, support::decoded(k.stage, bytes, x.size()));
    CHECK(error == doctest::Approx(k.error).epsilon(1e-5));
    auto const tolerance = static_cast<double>(k.stage.tolerance);
    CHECK(error <= tolerance * tolerance * squared_norm(x));
  }
  // Zeros, and what is not finite, take ranks of 1.
  tensor_train const c{.shape = {6, 7, 8}, .tolerance = 0.1f};
  for (float const value : {0.0f, support::inf}) {
    std::vector<float> const x(336, value);
    auto const bytes = support::encoded(c, x);
    CHECK(bytes.size() == detail::pad16(8) + detail::pad16(4 * (6 + 7 + 8)));
    for (float const v : support::decoded(c, bytes, 336))
      REQUIRE(std::bit_cast<std::uint32_t>(v) == (value == 0 ? 0u : 0x7fc00000u));
  }
}

TEST_CASE("tensor_train: ranks in a payload are judged before anything is written") {
  tensor_train const c{.shape = {6, 7, 8}, .tolerance = 0.1f};
  auto const bytes = support::encoded(c, support::formula_matrix(6, 56));
  for (std::uint32_t const rank : {0u, 7u, 0xffffffffu}) {
    support::payload_buffer payload(bytes.size());
    std::ranges::copy(bytes, payload.bytes().begin());
    std::memcpy(payload.bytes().data(), &rank, sizeof rank);
    std::vector<float> out(336, 5.0f);
    workspace<host_exec> ws{{1}};
    CHECK_THROWS_WITH_AS(decode(host_exec{1}, c, payload, out, ws, {.at = 1}),
                         doctest::Contains("behind side 1 is not in 1..6"), payload_error);
    CHECK(out == std::vector<float>(336, 5.0f));
  }
}

TEST_CASE("tensor_train: the conformance suite") {
  for (auto const& fault : support::whole_tensor_faults(tensor_train{.shape = {10, 3, 8}, .tolerance = 0.3f}, {240}))
    FAIL_CHECK(fault);

  for (auto const& fault : support::whole_tensor_faults(tensor_train{.shape = {10, 3, 8}, .ranks = {6, 5}}, {240}))
    FAIL_CHECK(fault);
  for (auto const& fault : support::whole_tensor_faults(tensor_train{.shape = {20, 15}, .ranks = {5}}, {300}))
    FAIL_CHECK(fault);
}

TEST_CASE("tensor_train: the same bits for any instruction set and number of threads") {
  CHECK(support::same_everywhere(tensor_train{.shape = {50, 40, 9, 9}, .ranks = {8, 7, 6}},
                                 support::gaussian_values(50 * 40 * 81, 5)));
}

TEST_CASE("tensor_train: automatic takes gather, and two_shot is refused before anything is sent") {
  CHECK(support::whole_collective_fault(tensor_train{.shape = {20, 10, 10}, .ranks = {3, 4}}, 2000) == "");
  CHECK(support::whole_collective_fault(any_compressor("tensor_train(shape=20x10x10, ranks=3x4)"), 2000) == "");
}

TEST_CASE("tensor_train: another number of values is refused before anything is written, and settings out of range") {
  tensor_train const c{.shape = {4, 5, 6}, .ranks = {2, 3}};
  CHECK(payload_bytes(c, 120) == detail::pad16(4 * (4 * 2 + 2 * 5 * 3 + 3 * 6)));
  std::string const other =
      "tensor_train: the tensor has 100 values, and shape=4x5x6 has 120; give the tensor's own shape";
  workspace<host_exec> ws{{1}};
  std::vector<float> x(100, 1.0f);
  support::payload_buffer payload(1024);
  auto const blank = std::vector<std::byte>(payload.bytes().begin(), payload.bytes().end());
  CHECK(support::refusal([&] { static_cast<void>(payload_bytes(c, 100)); }) == other);
  CHECK(support::refusal([&] { encode(host_exec{1}, c, x, payload, ws, {.at = 1}); }) == other);
  CHECK(support::refusal([&] { decode(host_exec{1}, c, payload, x, ws, {.at = 1}); }) == other);
  CHECK(std::ranges::equal(payload.bytes(), blank));
  CHECK(x == std::vector<float>(100, 1.0f));

  auto const refused = [](tensor_train const& s) {
    return support::refusal([&] { static_cast<void>(payload_bytes(s, 120)); });
  };
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {2, 3}, .tolerance = 0.1f}) ==
        "tensor_train: give ranks or a tolerance, not both");
  CHECK(refused({.shape = {4, 5, 6}, .tolerance = 1.5f}) == "tensor_train: tolerance must lie in 1e-6..1, got 1.5");
  CHECK(refused({.shape = {4, 5, 6}, .tolerance = -1}) == "tensor_train: tolerance must lie in 1e-6..1, got -1");
  CHECK(refused({.shape = {4, 5, 6}}) ==
        "tensor_train: shape=4x5x6 needs 2 ranks, one between each two sides, or a tolerance, got ranks=none");
  CHECK(refused({}) == "tensor_train: shape must have 2 to 8 sides, such as 64x64x3x3, got none");
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {2, 2, 2}}) ==
        "tensor_train: shape=4x5x6 needs 2 ranks, one between each two sides, or a tolerance, got ranks=2x2x2");
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {5, 5}}) ==
        "tensor_train: rank 5 behind side 1 is above 4, the most that shape=4x5x6 and the ranks before it allow");
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {1, 6}}) ==
        "tensor_train: rank 6 behind side 2 is above 5, the most that shape=4x5x6 and the ranks before it allow");
  CHECK(text(c) == "tensor_train(shape=4x5x6, ranks=2x3)");
}
