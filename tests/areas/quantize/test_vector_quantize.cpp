#include <support/codebooks.hpp>
#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/nonuniform.hpp>
#include <ccomp/quantize/vector_quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<vector_quantize<4, 8>>() && vector_stage<vector_quantize<4, 8>>);

/// The number of the word with the smallest |w|^2 / 2 - <x, w>, as the contract says it, for one part.
std::size_t naive_word(float const* x, float const* words, std::size_t count, std::size_t dim) {
  std::size_t best = 0;
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t w = 0; w < count; ++w) {
    float d = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      float const square = words[w * dim + i] * words[w * dim + i], half = 0.5f * square;
      d = d + half;
    }
    for (std::size_t i = 0; i < dim; ++i) d = std::fma(-x[i], words[w * dim + i], d);
    if (d < least) {
      least = d;
      best = w;
    }
  }
  return best;
}

}  // namespace

TEST_CASE("vector_quantize: each group gets its nearest word, in every part, on every instruction set") {
  auto const check = [](auto const& c, codebook_shape shape) {
    std::size_t const dim = static_cast<std::size_t>(shape.dim), n = c.block;
    auto x = support::gaussian_values(n, 9);
    auto const bytes = support::encoded(c, x);
    double squares = 0;  // the scale, from its definition; any order will do up to a rounding that seldom matters
    for (float const v : x) squares += double{v} * double{v};
    auto const scale = static_cast<float>(std::sqrt(squares / static_cast<double>(n)));
    std::size_t const part = static_cast<std::size_t>(shape.part_dim()), words = shape.part_words();
    std::size_t wrong = 0;
    for (std::size_t v = 0; v < n / dim; ++v) {
      std::uint32_t code = 0, expected = 0;
      for (std::size_t b = 0; b < static_cast<std::size_t>(shape.bits); ++b) {
        std::size_t const at = v * static_cast<std::size_t>(shape.bits) + b;
        code |= (static_cast<std::uint32_t>(bytes[at / 8]) >> at % 8 & 1u) << b;
      }
      for (std::size_t p = 0; p < static_cast<std::size_t>(shape.parts); ++p) {
        std::vector<float> z;
        for (std::size_t i = 0; i < part; ++i) z.push_back(x[v * dim + p * part + i] * (1.0f / scale));
        auto const w = naive_word(z.data(), c.words().values().data() + p * words * part, words, part);
        expected |= static_cast<std::uint32_t>(w) << p * static_cast<std::size_t>(shape.part_bits());
      }
      wrong += code != expected;
    }
    CHECK(wrong == 0);
  };
  check(vector_quantize<4, 8>{support::random_words({4, 8, 1}), 512}, {4, 8, 1});
  check(vector_quantize<2, 5>{support::random_words({2, 5, 1}), 256}, {2, 5, 1});
  check(vector_quantize<8, 12>{support::random_words({8, 12, 2}), 128}, {8, 12, 2});
  check(vector_quantize<8, 8>{support::random_words({8, 8, 8}), 64}, {8, 8, 8});
}

TEST_CASE("vector_quantize: of equal words the first is sent") {
  auto twice = support::gaussian_values(64, 3);
  for (std::size_t i = 32; i < 64; ++i) twice[i] = twice[i - 32];  // words 8..15 repeat 0..7
  auto const bytes =
      support::encoded(vector_quantize<4, 4>{vector_codebook({4, 4, 1}, twice), 64}, support::gaussian_values(4096, 1));
  for (std::size_t i = 0; i < 512; ++i) CHECK((bytes[i] & std::byte{0x88}) == std::byte{0});
}

TEST_CASE("vector_quantize: without a codebook it sends what Lloyd-Max levels would, with the best gain") {
  auto const x = support::gaussian_values(1 << 16, 4);
  auto const error = [&](auto const& c) {
    auto const back = support::round_trip(c, x);
    double e = 0, norm = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      e += std::pow(double{x[i]} - double{back[i]}, 2);
      norm += std::pow(double{x[i]}, 2);
    }
    return e / norm;
  };
  // D = .11748185 for 2 bits and .00950101 for 4 (Max 1960; in double precision), with the spread of 65,536 draws.
  CHECK(error(vector_quantize<4, 8>{}) == doctest::Approx(.11748185).epsilon(0.02));
  CHECK(error(vector_quantize<2, 8>{}) == doctest::Approx(.00950101).epsilon(0.02));
  CHECK(error(vector_quantize<8, 16>{}) == error(vector_quantize<4, 8>{}));
  CHECK(payload_bytes<float>(vector_quantize<4, 8>{}, 1 << 16) == (1 << 14) + 4 * 128);
}

TEST_CASE("vector_quantize: the same bytes everywhere, for any length and block") {
  for (std::size_t n : {0u, 1u, 3u, 4u, 511u, 4097u, 9000u})
    for (std::uint32_t block : {16u, 4096u}) {
      CAPTURE(n);
      CHECK(support::same_everywhere(vector_quantize<4, 5>{support::random_words({4, 5, 1}), block},
                                     support::heavy_tailed_values(n)));
      CHECK(support::same_everywhere(vector_quantize<8, 6>{support::random_words({8, 6, 2}), block},
                                     support::gaussian_values(n)));
    }
  CHECK(support::same_everywhere(vector_quantize<2, 3>{support::random_words({2, 3, 1}), 64},
                                 support::gaussian_values(1 << 18)));
}

TEST_CASE("vector_quantize: the error is never larger than the block") {
  vector_quantize<4, 5> const c{support::random_words({4, 5, 1}), 16};
  for (auto const& values : support::finite_cases(3000)) {
    CAPTURE(values.name);
    auto const back = support::round_trip(c, values.values);
    for (std::size_t first = 0; first < back.size(); first += c.block) {
      double error = 0, norm = 0;
      for (std::size_t i = first; i < std::min<std::size_t>(back.size(), first + c.block); ++i) {
        error += std::pow(double{values.values[i]} - double{back[i]}, 2);
        norm += std::pow(double{values.values[i]}, 2);
      }
      CHECK(error <= norm * (1 + 1e-6));
    }
  }
}

TEST_CASE("vector_quantize: codebooks that do not fit are refused in one sentence") {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> words(64, 1.0f);
  CHECK_THROWS_WITH(vector_codebook({4, 4, 1}, {1, 2, 3}),
                    doctest::Contains("ccomp: codebook: 1 times 16 words of 4 values are 64 values, got 3"));
  words[7] = nan;
  CHECK_THROWS_WITH(vector_codebook({4, 4, 1}, words),
                    doctest::Contains("ccomp: codebook: value 7 is not finite or above 2^60"));
  words[7] = -2e18f;
  CHECK_THROWS_AS(vector_codebook({4, 4, 1}, words), invalid_argument);
  CHECK_THROWS_AS(vector_codebook({4, 5, 2}, words), invalid_argument);
  CHECK_THROWS_AS(vector_codebook({0, 4, 1}, words), invalid_argument);
  CHECK_THROWS_WITH(
      static_cast<void>(payload_bytes<float>(vector_quantize<4, 8>{support::random_words({2, 8, 1})}, 10)),
      doctest::Contains("ccomp: vector_quantize<4x8>: the codebook has words of 2 values and 8 bits"));
  CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(vector_quantize<2, 12>{}, 10)), invalid_argument);
}

TEST_CASE("vector_quantize: without a codebook every number of bits up to 5 per value codes, as a type") {
  auto const x = support::gaussian_values(2000, 4);
  auto const error = [&](auto const& c) {
    auto const back = support::round_trip(c, x);
    double e = 0;
    for (std::size_t i = 0; i < x.size(); ++i) e += std::pow(double{x[i]} - double{back[i]}, 2);
    return e;
  };
  // 13 and 15 bits are no product of two parts; more bits leave less.
  double const all[] = {error(vector_quantize<8, 1>{}),  error(vector_quantize<8, 8>{}),
                        error(vector_quantize<8, 12>{}), error(vector_quantize<8, 13>{}),
                        error(vector_quantize<8, 14>{}), error(vector_quantize<8, 15>{}),
                        error(vector_quantize<8, 16>{})};
  for (std::size_t i = 1; i < std::size(all); ++i) CHECK(all[i] < all[i - 1]);
  CHECK(vector_quantize<8, 13>{}.words().shape() == codebook_shape{8, 13, 1});
  CHECK(vector_quantize<8, 14>{}.words().shape() == codebook_shape{8, 14, 2});
  CHECK(vector_quantize<8, 15>{}.words().shape() == codebook_shape{8, 15, 1});
  CHECK(vector_quantize<4, 13>{}.words().shape() == codebook_shape{4, 13, 1});
  CHECK(error(vector_quantize<4, 15>{}) < error(vector_quantize<4, 13>{}));
}
