#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/nonuniform.hpp>
#include <ccomp/quantize/vector_quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<vector_quantize<4, 8>>() && vector_stage<vector_quantize<4, 8>>);

vector_codebook random_words(codebook_shape shape, std::uint64_t seed = 3) {
  return {shape, support::gaussian_values(shape.values(), seed)};
}
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
struct temporary_file {
  std::string path;
  explicit temporary_file(std::string const& name) : path((std::filesystem::temp_directory_path() / name).string()) {}
  ~temporary_file() { std::remove(path.c_str()); }
};

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
  check(vector_quantize<4, 8>{random_words({4, 8, 1}), 512}, {4, 8, 1});
  check(vector_quantize<2, 5>{random_words({2, 5, 1}), 256}, {2, 5, 1});
  check(vector_quantize<8, 12>{random_words({8, 12, 2}), 128}, {8, 12, 2});
  check(vector_quantize<8, 8>{random_words({8, 8, 8}), 64}, {8, 8, 8});
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
      CHECK(support::same_everywhere(vector_quantize<4, 5>{random_words({4, 5, 1}), block},
                                     support::heavy_tailed_values(n)));
      CHECK(
          support::same_everywhere(vector_quantize<8, 6>{random_words({8, 6, 2}), block}, support::gaussian_values(n)));
    }
  CHECK(
      support::same_everywhere(vector_quantize<2, 3>{random_words({2, 3, 1}), 64}, support::gaussian_values(1 << 18)));
}

TEST_CASE("vector_quantize: the error is never larger than the block") {
  vector_quantize<4, 5> const c{random_words({4, 5, 1}), 16};
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
  CHECK_THROWS_WITH(static_cast<void>(payload_bytes<float>(vector_quantize<4, 8>{random_words({2, 8, 1})}, 10)),
                    doctest::Contains("ccomp: vector_quantize<4x8>: the codebook has words of 2 values and 8 bits"));
  CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(vector_quantize<2, 12>{}, 10)), invalid_argument);
}

TEST_CASE("vector_codebook: saved, loaded, and known by its fingerprint") {
  temporary_file const file("ccomp_test_codebook.ccvq"), other("ccomp_test_codebook_2.ccvq");
  auto book = random_words({4, 8, 1});
  CHECK(text(vector_quantize<4, 8>{book}) == "vector_quantize<4x8>(codebook=unsaved)");
  book.save(file.path);
  auto const again = vector_codebook::load(file.path);
  CHECK(again == book);
  CHECK(again.shape() == book.shape());
  CHECK(std::filesystem::file_size(file.path) == 20 + 4 * 1024);
  CHECK_FALSE(random_words({4, 8, 1}, 4) == book);
  // The same words by text give the same bytes; another codebook's frame is refused.
  auto const x = support::gaussian_values(1000, 6);
  any_compressor const named("vector_quantize<4x8>(codebook=" + file.path + ", block=64)");
  CHECK(support::encoded(named, x) == support::encoded(vector_quantize<4, 8>{book, 64}, x));
  CHECK(any_compressor(text(named)).text() == named.text());
  workspace<host_exec> ws;
  std::vector<std::byte> frame(max_compressed_bytes<float>(named, x.size()));
  frame.resize(compress({}, named, std::span<float const>(x), std::span(frame), ws));
  std::vector<float> out(x.size(), 7.0f);
  CHECK_THROWS_AS(decompress({}, vector_quantize<4, 8>{random_words({4, 8, 1}, 4), 64},
                             std::span<std::byte const>(frame), std::span(out), ws),
                  payload_error);
  CHECK(out == std::vector<float>(x.size(), 7.0f));

  auto const damage = [&](long at, char what, char const* message) {
    book.save(other.path);
    std::FILE* const f = std::fopen(other.path.c_str(), "r+b");
    std::fseek(f, at, SEEK_SET);
    std::fputc(what, f);
    std::fclose(f);
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(other.path)),
                      doctest::Contains((other.path + " " + message).c_str()));
  };
  damage(0, 'x', "is not a codebook file of version 1");
  damage(4, 2, "is not a codebook file of version 1");
  damage(6, 17, "has a shape that no codebook has");
  damage(10, 0, "has a shape that no codebook has");
  damage(8, 7, "has another length than its shape says");
  damage(8, 9, "has another length than its shape says");
  damage(500, 77, "is damaged: its checksum does not match");
  std::filesystem::resize_file(other.path, 15);
  CHECK_THROWS_AS(static_cast<void>(vector_codebook::load(other.path)), invalid_argument);
  CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load("no/such/file")),
                    doctest::Contains("ccomp: codebook: no/such/file cannot be read"));
  CHECK_THROWS_WITH(book.save("no/such/folder/file"),
                    doctest::Contains("ccomp: codebook: no/such/folder/file cannot be written"));
  CHECK_THROWS_AS(any_compressor("vector_quantize<4x8>(codebook=no/such/file)"), invalid_argument);
  CHECK_THROWS_AS(vector_codebook().save(other.path), invalid_argument);
}
