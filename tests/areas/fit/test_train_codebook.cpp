#include <support/generators.hpp>
#include <support/late_ranks.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/fit/train_codebook.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace ccomp;

namespace {

double square(double x) { return x * x; }

/// Lloyd's iteration as textbooks have it, in double, from given words: the distortion before each iteration and at the end.
std::vector<double> plain_lloyd(std::vector<float> const& x, std::size_t dim, std::vector<float> const& seeds,
                                std::uint32_t block, int iterations) {
  std::vector<double> z;
  for (std::size_t first = 0; first < x.size(); first += block) {
    double squares = 0;
    for (std::size_t i = first; i < first + block; ++i) squares += square(x[i]);
    for (std::size_t i = first; i < first + block; ++i) z.push_back(x[i] / std::sqrt(squares / block));
  }
  std::vector<double> words(seeds.begin(), seeds.end()), distortion;
  std::size_t const count = words.size() / dim, vectors = z.size() / dim;
  for (int iteration = 0; iteration <= iterations; ++iteration) {
    std::vector<double> sums(words.size()), counts(count);
    double total = 0;
    for (std::size_t v = 0; v < vectors; ++v) {
      std::size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t w = 0; w < count; ++w) {
        double d = 0;
        for (std::size_t i = 0; i < dim; ++i) d += square(z[v * dim + i] - words[w * dim + i]);
        if (d < least) {
          least = d;
          best = w;
        }
      }
      total += least;
      counts[best] += 1;
      for (std::size_t i = 0; i < dim; ++i) sums[best * dim + i] += z[v * dim + i];
    }
    distortion.push_back(total / static_cast<double>(z.size()));
    for (std::size_t w = 0; w < count; ++w)
      for (std::size_t i = 0; i < dim && counts[w] > 0; ++i) words[w * dim + i] = sums[w * dim + i] / counts[w];
  }
  return distortion;
}

}  // namespace

TEST_CASE("train_codebook: full batches are Lloyd's iteration, whose distortion never rises") {
  auto const x = support::gaussian_values(1 << 14, 3);
  auto const seeds = train_codebook<4, 6>({}, x, {.iterations = 0, .block = 64}).codebook;
  auto const made = train_codebook<4, 6>({}, x, {.iterations = 10, .block = 64});
  auto const expected = plain_lloyd(x, 4, {seeds.values().begin(), seeds.values().end()}, 64, 10);
  REQUIRE(made.distortion.size() == 11);
  for (std::size_t i = 0; i < 11; ++i) {
    // Words are rounded to float for the search: a vector half way between two may go to the other.
    CHECK(made.distortion[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    if (i > 0) CHECK(made.distortion[i] <= made.distortion[i - 1] * (1 + 1e-6));
  }
  CHECK(made.distortion.back() < 0.9 * made.distortion.front());
}

TEST_CASE("train_codebook: small batches end within 2 % of full ones") {
  auto const x = support::heavy_tailed_values(1 << 15, 3);
  auto const full = train_codebook<2, 5>({}, x, {.iterations = 30});
  auto const small = train_codebook<2, 5>({}, x, {.iterations = 60, .batch = 4096});
  vector_codebook const words = small.codebook;
  auto const error_of = [&](vector_codebook const& book) {
    vector_quantize<2, 5> const c{book};
    workspace<host_exec> ws;
    std::vector<std::byte> payload(payload_bytes<float>(c, x.size()));
    std::vector<float> back(x.size());
    encode({}, c, std::span<float const>(x), std::span(payload), ws);
    decode({}, c, std::span<std::byte const>(payload), std::span(back), ws);
    double error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) error += square(double{x[i]} - double{back[i]});
    return error;
  };
  CHECK(error_of(small.codebook) <= 1.02 * error_of(full.codebook));
}

TEST_CASE("train_codebook: trained words beat levels, and follow the data") {
  std::vector<float> pairs = support::gaussian_values(1 << 14, 5);
  for (std::size_t i = 1; i < pairs.size(); i += 2) pairs[i] = 0.5f * pairs[i - 1];  // on a line
  auto const made = train_codebook<2, 4>({}, pairs);
  // 16 levels on a line of Gaussian values: Lloyd-Max with 4 bits leaves .00950101 of the variance along the line, and
  // nothing across it; both numbers of a pair share it.
  CHECK(made.distortion.back() == doctest::Approx(.0095).epsilon(0.25));
}

TEST_CASE("train_codebook: the same words for any threads, and for a history in one piece or several") {
  auto const x = support::gaussian_values(1 << 16, 8);
  auto const one = train_codebook<4, 4>({.threads = 1}, x, {.iterations = 4, .parts = 2});
  CHECK(train_codebook<4, 4>({.threads = 2}, x, {.iterations = 4, .parts = 2}).codebook == one.codebook);
  CHECK(train_codebook<4, 4>({.threads = 1, .isa = instruction_set::baseline}, x, {.iterations = 4, .parts = 2})
            .codebook == one.codebook);
  std::vector<std::vector<float>> const history{{x.begin(), x.begin() + (1 << 15)}, {x.begin() + (1 << 15), x.end()}};
  CHECK(train_codebook<4, 4>({}, history, {.iterations = 4, .parts = 2}).codebook == one.codebook);
  CHECK_FALSE(train_codebook<4, 4>({}, x, {.iterations = 4, .parts = 2, .seed = 1}).codebook == one.codebook);
}

TEST_CASE("train_codebook: ranks that train together hold the same words, as good as those of all data") {
  int const ranks = 3;
  std::size_t const n = 1 << 13;
  auto const x = support::gaussian_values(ranks * n, 12);
  std::vector<vector_codebook> books(ranks);
  std::vector<double> distortion(ranks);
  thread_group(ranks).run([&](auto& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    std::span<float const> const mine(x.data() + r * n, n);
    auto const made = train_codebook<4, 5>({}, comm, mine);
    books[r] = made.codebook;
    distortion[r] = made.distortion.back();
  });
  CHECK(books[0] == books[1]);
  CHECK(books[0] == books[2]);
  auto const alone = train_codebook<4, 5>({}, x);
  CHECK(distortion[0] == doctest::Approx(alone.distortion.back()).epsilon(0.02));
}

TEST_CASE("train_codebook: ranks with other settings are told") {
  thread_group(2).run([&](auto& comm) {
    auto const x = support::gaussian_values(512, 1);
    training_options options;
    options.seed = static_cast<std::uint64_t>(comm.rank());
    CHECK_THROWS_WITH_AS(
        static_cast<void>(train_codebook<4, 4>({}, comm, x, options)),
        doctest::Contains("rank 0 calls train_codebook<4, 4>(iterations = 16, batch = 0, parts = 1, block = "
                          "512, seed = 0), rank 1 calls train_codebook<4, 4>(iterations = 16, batch = 0, "
                          "parts = 1, block = 512, seed = 1)"),
        rank_mismatch);
  });
}

TEST_CASE("train_codebook: the memory of a failed exchange stays") {
  std::vector<std::span<std::byte>> lent;
  support::late_ranks comm{&lent};
  auto const x = support::gaussian_values(4096, 1);
  CHECK_THROWS_AS(static_cast<void>(train_codebook<4, 4>({}, comm, x)), timeout);
  REQUIRE(lent.size() == 1);
  CHECK(support::still_ours(lent[0]));
}

TEST_CASE("train_codebook: data that has nothing to train on") {
  CHECK_THROWS_AS((train_codebook<4, 4>({}, std::vector<float>{})), invalid_argument);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, std::vector<float>(100))), invalid_argument);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, std::vector<float>(3, 1.0f))), invalid_argument);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, std::vector<float>(100, std::numeric_limits<float>::quiet_NaN()))),
                  invalid_argument);
  auto const x = support::gaussian_values(512, 1);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, x, {.parts = 3})), invalid_argument);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, x, {.block = 100})), invalid_argument);
  CHECK_THROWS_AS((train_codebook<4, 4>({}, x, {.iterations = -1})), invalid_argument);
  // Fewer vectors than words: each of them gets one, and the rest repeat.
  auto const few = train_codebook<4, 4>({}, std::vector<float>{1, 2, 3, 4, -1, 2, -3, 4});
  CHECK(few.distortion.back() == doctest::Approx(0).epsilon(1e-12));
}

TEST_CASE("train_codebook: blocks of zeros are no part of the data, for batches and for the seeds") {
  // 1000 blocks, of which every tenth holds values.
  std::size_t const block = 512, n = 1000 * block;
  auto const values = support::gaussian_values(n / 10, 21);
  std::vector<float> sparse(n);
  for (std::size_t i = 0; i < values.size(); ++i) sparse[i / block * 10 * block + i % block] = values[i];
  auto const small = train_codebook<4, 4>({}, sparse, {.iterations = 30, .batch = 2048});
  CHECK(small.codebook == train_codebook<4, 4>({}, values, {.iterations = 30, .batch = 2048}).codebook);
  for (double const each : small.distortion) CHECK(std::isfinite(each));
  CHECK(train_codebook<4, 4>({}, sparse).codebook.shape() == codebook_shape{4, 4, 1});

  // One block: vectors at equal distances over all would miss it.
  std::vector<float> one(n);
  std::copy_n(values.begin(), block, one.begin() + 5 * block);
  std::vector<float> const alone(values.begin(), values.begin() + block);
  CHECK(train_codebook<4, 1>({}, one).codebook == train_codebook<4, 1>({}, alone).codebook);
  CHECK(train_codebook<4, 1>({}, one, {.batch = 1}).codebook == train_codebook<4, 1>({}, alone, {.batch = 1}).codebook);

  // A rank without values trains on those of the others.
  thread_group(2).run([&](auto& comm) {
    std::vector<float> const zeros(block);
    auto const made = train_codebook<4, 4>({}, comm, comm.rank() == 0 ? zeros : sparse, {.batch = 256});
    CHECK(std::isfinite(made.distortion.back()));
    CHECK_THROWS_WITH_AS(static_cast<void>(train_codebook<4, 4>({}, comm, zeros)),
                         doctest::Contains("train_codebook: all blocks of the data are zero"), invalid_argument);
  });
}

TEST_CASE("train_codebook: a batch of as many vectors as there are, or more, is all of them") {
  auto const x = support::gaussian_values(1 << 13, 4);
  auto const all = train_codebook<4, 4>({}, x, {.iterations = 1});
  for (std::size_t const batch : {std::size_t{1} << 11, std::size_t{1} << 62, std::numeric_limits<std::size_t>::max()})
    CHECK(train_codebook<4, 4>({}, x, {.iterations = 1, .batch = batch}).codebook == all.codebook);
  CHECK_FALSE(train_codebook<4, 4>({}, x, {.iterations = 1, .batch = 2047}).codebook == all.codebook);
}

TEST_CASE("train_codebook: seeds are vectors of the data, and those that differ where there are enough") {
  // 16 vectors, each of them 4 times: each is a seed once, because those that are seeds have the distance zero.
  std::vector<float> x;
  for (std::size_t i = 0; i < 64; ++i) {
    auto const v = i * 7 % 16;
    x.insert(x.end(), {static_cast<float>(v % 4) - 1.5f, static_cast<float>(v / 4) - 1.5f});
  }
  auto const made = train_codebook<2, 4>({}, x, {.iterations = 0, .block = 32});
  CHECK(made.distortion.back() == doctest::Approx(0).epsilon(1e-12));
  // So they are for the parts of a product.
  CHECK(train_codebook<2, 4>({}, x, {.iterations = 0, .parts = 2, .block = 32}).distortion.back() ==
        doctest::Approx(0).epsilon(1e-12));
}
