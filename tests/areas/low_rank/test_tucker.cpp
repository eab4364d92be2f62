#include <support/codec.hpp>
#include <support/matrices.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/tucker.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

/// formula_matrix(rows, cols), seen as a tensor. Of numpy 1.24.2 (linalg.svd, LAPACK's gesdd, float64): the squared error of the
/// HOSVD, and the largest of the sides' sums of dropped squares, which no tensor of these ranks goes below.
struct tucker_tensor {
  std::size_t rows, cols;
  tucker stage;
  double error, least;
};
tucker_tensor const tucker_tensors[] = {
    {6, 56, {.shape = {6, 7, 8}, .ranks = {3, 3, 4}}, 497.0362338536798, 349.52366961117497},
    {20, 18, {.shape = {4, 5, 3, 6}, .ranks = {2, 3, 2, 3}}, 749.6582467325917, 392.3806535429944},
    {16,
     16,
     {.shape = {2, 2, 2, 2, 2, 2, 2, 2}, .ranks = {2, 1, 2, 2, 2, 1, 2, 2}},
     531.1496371100937,
     325.283603436584},
    {3, 4, {.shape = {3, 4}, .ranks = {2, 2}}, 6.6532374949029265, 6.653237494902925},
};

/// Of exactly these ranks: a random core and random factors.
std::vector<float> tensor_of_ranks(std::size_t a, std::size_t b, std::size_t c, std::size_t rank, double size) {
  auto const core = support::gaussian_values(rank * rank * rank, 1), u = support::gaussian_values(a * rank, 2),
             v = support::gaussian_values(b * rank, 3), w = support::gaussian_values(c * rank, 4);
  std::vector<float> x;
  for (std::size_t i = 0; i < a * b * c; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < core.size(); ++k)
      sum += static_cast<double>(core[k]) * static_cast<double>(u[i / (b * c) * rank + k / (rank * rank)]) *
             static_cast<double>(v[i / c % b * rank + k / rank % rank]) *
             static_cast<double>(w[i % c * rank + k % rank]);
    x.push_back(static_cast<float>(size * sum));
  }
  return x;
}

}  // namespace

TEST_CASE("tucker: the error is that of the HOSVD, and within sqrt d of the best") {
  for (auto const& known : tucker_tensors) {
    CAPTURE(text(known.stage));
    auto const x = support::formula_matrix(known.rows, known.cols);
    double const error = squared_error(x, support::round_trip(known.stage, x));
    CHECK(error == doctest::Approx(known.error).epsilon(1e-6));  // core and factors are rounded to float
    CHECK(error <= static_cast<double>(known.stage.shape.size()) * known.least);
    CHECK(error >= (1 - 1e-6) * known.least);
  }
}

TEST_CASE("tucker: tensors of the ranks come through, at any size") {
  tucker const c{.shape = {9, 7, 11}, .ranks = {3, 3, 3}};
  for (double const size : {1.0, 1e30, 1e-30}) {
    CAPTURE(size);
    auto const x = tensor_of_ranks(9, 7, 11, 2, size);
    CHECK(squared_error(x, support::round_trip(c, x)) < 1e-12 * squared_norm(x));
  }
  for (float const v : support::round_trip(c, std::vector<float>(693))) REQUIRE(v == 0.0f);
  for (float const v : support::round_trip(c, std::vector<float>(693, 3e38f)))
    REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  auto const any = support::gaussian_values(693, 1);
  CHECK(squared_error(any, support::round_trip(tucker{.shape = {9, 7, 11}, .ranks = {9, 7, 11}}, any)) <
        1e-12 * squared_norm(any));
  // One side longer than the product of the others.
  auto const tall = support::gaussian_values(40 * 3 * 2, 1);
  CHECK(squared_error(tall, support::round_trip(tucker{.shape = {40, 3, 2}, .ranks = {6, 3, 2}}, tall)) <
        1e-12 * squared_norm(tall));
}

TEST_CASE("tucker: what is not finite makes the tensor NaN") {
  tucker const c{.shape = {9, 7, 11}, .ranks = {3, 3, 3}};
  for (float const poison : {support::quiet_nan, support::inf, -support::inf}) {
    auto x = support::gaussian_values(693, 1);
    x[77] = poison;
    for (float const v : support::round_trip(c, x)) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("tucker: the conformance suite") {
  for (auto const& fault : support::whole_tensor_faults(tucker{.shape = {10, 3, 8}, .ranks = {4, 2, 4}}, {240}))
    FAIL_CHECK(fault);
  for (auto const& fault : support::whole_tensor_faults(tucker{.shape = {20, 15}, .ranks = {5, 5}}, {300}))
    FAIL_CHECK(fault);
}

TEST_CASE("tucker: the same bits for any instruction set and number of threads") {
  CHECK(support::same_everywhere(tucker{.shape = {50, 40, 9, 9}, .ranks = {4, 5, 3, 3}},
                                 support::gaussian_values(50 * 40 * 81, 5)));
}

TEST_CASE("tucker: automatic takes gather, and two_shot is refused before anything is sent") {
  CHECK(support::whole_collective_fault(tucker{.shape = {20, 10, 10}, .ranks = {2, 3, 4}}, 2000) == "");
  CHECK(support::whole_collective_fault(any_compressor("tucker(shape=20x10x10, ranks=2x3x4)"), 2000) == "");
}

TEST_CASE("tucker: reduce_scatter codes each chunk by itself, as a tensor of the given shape") {
  tucker const c{.shape = {10, 10, 10}, .ranks = {2, 3, 4}};
  support::per_rank<float> in{support::gaussian_values(2000, 1), support::gaussian_values(2000, 2)};
  thread_group group(2);
  std::vector<std::vector<float>> chunks(2, std::vector<float>(1000));
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace<host_exec> ws{{1}};
    reduce_scatter(host_exec{1}, comm, c, in[r], chunks[r], ws, {.op = reduction::sum, .at = 1});
  });
  for (std::size_t r = 0; r < 2; ++r) {
    std::vector<float> want(1000);
    for (auto const& x : in) {
      auto const first = x.begin() + static_cast<std::ptrdiff_t>(1000 * r);
      auto const y = support::round_trip(c, std::vector<float>(first, first + 1000));
      for (std::size_t i = 0; i < 1000; ++i) want[i] += y[i];
    }
    CHECK(support::same_bits(chunks[r], want));
  }
}

TEST_CASE("tucker: another number of values is refused before anything is written, and settings out of range") {
  tucker const c{.shape = {4, 5, 6}, .ranks = {2, 2, 2}};
  CHECK(payload_bytes(c, 120) == detail::pad16(4 * (8 + 2 * (4 + 5 + 6))));
  std::string const other = "tucker: the tensor has 100 values, and shape=4x5x6 has 120; give the tensor's own shape";
  workspace<host_exec> ws{{1}};
  std::vector<float> x(100, 1.0f);
  support::payload_buffer payload(1024);
  auto const blank = std::vector<std::byte>(payload.bytes().begin(), payload.bytes().end());
  CHECK(support::refusal([&] { static_cast<void>(payload_bytes(c, 100)); }) == other);
  CHECK(support::refusal([&] { encode(host_exec{1}, c, x, payload, ws, {.at = 1}); }) == other);
  CHECK(support::refusal([&] { decode(host_exec{1}, c, payload, x, ws, {.at = 1}); }) == other);
  CHECK(std::ranges::equal(payload.bytes(), blank));
  CHECK(x == std::vector<float>(100, 1.0f));

  auto const refused = [](tucker const& s) {
    return support::refusal([&] { static_cast<void>(payload_bytes(s, 120)); });
  };
  CHECK(refused({}) == "tucker: shape must have 2 to 8 sides, such as 64x64x3x3, got none");
  CHECK(refused({.shape = {120}, .ranks = {1}}) == "tucker: shape must have 2 to 8 sides, such as 64x64x3x3, got 120");
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {2, 2}}) == "tucker: shape=4x5x6 needs as many ranks, got ranks=2x2");
  CHECK(refused({.shape = {4, 5, 6}, .ranks = {2, 6, 2}}) ==
        "tucker: rank 6 of side 2 is above 5, the most that shape=4x5x6 allows");
  CHECK(refused({.shape = {60, 2}, .ranks = {3, 2}}) ==
        "tucker: rank 3 of side 1 is above 2, the most that shape=60x2 allows");
  CHECK(refused({.shape = {4000000000u, 4000000000u, 4000000000u}, .ranks = {1, 1, 1}}) ==
        "tucker: shape=4000000000x4000000000x4000000000 has more than 2^56 values");
}

TEST_CASE("extents: text is read and printed") {
  auto const read = [](std::string const& shape) {
    return support::refusal([&] { any_compressor("tucker(shape=" + shape + ", ranks=2x3)"); });
  };
  CHECK(read("4x5") == "");
  CHECK(any_compressor("tucker(4x5, 2x3)").text() == "tucker(shape=4x5, ranks=2x3)");
  CHECK(text(tucker{}) == "tucker");
  CHECK(fingerprint(tucker{.shape = {4, 5}, .ranks = {2, 3}}) == fingerprint(any_compressor("tucker(4x5, 2x3)")));
  CHECK(fingerprint(tucker{.shape = {4, 5}, .ranks = {2, 3}}) != fingerprint(any_compressor("tucker(5x4, 2x3)")));
  for (std::string const wrong : {"x", "4x", "x4", "4xx5", "0x4", "4x0", "-1x4", "4x5.0", "4x4294967296", "4xnone",
                                  "nonex4", "1x1x1x1x1x1x1x1x1", "4X5"})
    CHECK(read(wrong) ==
          "compressor text: tucker's shape must be 1 to 8 whole numbers above 0 with x between them, such as "
          "64x64x3x3, or none, got '" +
              wrong + "'");
  CHECK(read("none") == "tucker: shape must have 2 to 8 sides, such as 64x64x3x3, got none");
  CHECK_THROWS_AS((extents{1, 2, 3, 4, 5, 6, 7, 8, 9}), invalid_argument);
  CHECK_THROWS_AS((extents{1, 0}), invalid_argument);
}
