#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/e8_lattice.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<e8_lattice>() && vector_stage<e8_lattice> && !linear<e8_lattice>);

using point = std::array<double, 8>;

/// The 240 shortest vectors of E8 and the 2,160 next ones, from their definition (Conway, Sloane, "Sphere Packings, Lattices
/// and Groups", chapter 4.8.1): integers of even sum, or halves of odd integers of even sum, of squared length 2 and 4.
std::vector<point> const& short_vectors() {
  static auto const all = [] {
    std::vector<point> found;
    for (int shape = 0; shape < 2; ++shape) {
      point p{};
      auto const next = [&](auto const& self, std::size_t i, double squares, double sum) -> void {
        if (squares > 4) return;
        if (i == 8) {
          if (squares > 0 && std::fmod(sum, 2) == 0) found.push_back(p);
          return;
        }
        for (double v = shape == 0 ? -2 : -1.5; v <= 2; v += 1) {
          p[i] = v;
          self(self, i + 1, squares + v * v, sum + v);
        }
      };
      next(next, 0, 0, 0);
    }
    return found;
  }();
  return all;
}
double distance(detail::e8_vector const& z, detail::e8_quarters const& q) {
  double d = 0;
  for (int i = 0; i < 8; ++i) d += std::pow(double{z[i]} - q[i] / 4.0, 2);
  return d;
}
void gaussian_vector(support::generator& g, double sigma, detail::e8_vector& z) {
  for (float& v : z) v = static_cast<float>(sigma * g.gaussian());
}
double mean_squared_error(std::vector<float> const& x, std::vector<float> const& y) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += std::pow(double{x[i]} - double{y[i]}, 2);
    norm += std::pow(double{x[i]}, 2);
  }
  return error / norm;
}

}  // namespace

TEST_CASE("e8_lattice: no other point of the lattice is nearer than the one found") {
  CHECK(short_vectors().size() == 240 + 2160);
  support::generator g(3);
  double squares = 0;
  int const draws = 20000;
  for (int draw = 0; draw < draws; ++draw) {
    detail::e8_vector z;
    detail::e8_quarters q;
    gaussian_vector(g, 3, z);
    detail::nearest_e8(z, q);
    double const found = distance(z, q);
    squares += found;
    int sum = 0, odd = 0;
    for (int i = 0; i < 8; ++i) {
      sum += q[i] - detail::e8_offset(i);
      odd += (q[i] - detail::e8_offset(i)) / 2 & 1;
    }
    CHECK(sum % 8 == 0);  // an even sum, in quarters
    CHECK((odd == 0 || odd == 8));
    if (draw % 20 != 0) continue;
    bool nearest = true;
    for (auto const& v : short_vectors()) {
      double other = 0;
      for (std::size_t i = 0; i < 8; ++i) other += std::pow(double{z[i]} - q[i] / 4.0 - v[i], 2);
      nearest = nearest && found <= other + 1e-5;
    }
    CHECK(nearest);
  }
  // The normalised second moment of the cell of E8 is 929 / 12960 = 0.07168 (Conway, Sloane, chapter 21, table 21.1); the
  // mean of 20,000 draws has a standard deviation of about 0.00015.
  CHECK(squares / (8.0 * draws) == doctest::Approx(929.0 / 12960).epsilon(0.008));
}

TEST_CASE("e8_lattice: 65,536 words, one for each code, in pairs of opposite sign, in the cell of 4 E8") {
  std::set<std::array<int, 8>> words;
  double outermost = 0;
  for (std::uint32_t code = 0; code < 65536; ++code) {
    detail::e8_quarters q;
    detail::e8_word(code, q);
    std::array<int, 8> word{};
    std::copy(q, q + 8, word.begin());
    words.insert(word);
    if (detail::e8_code(q) != code || detail::is_e8_word(q) == 0) FAIL("code ", code);
    if (code % 64 != 0) continue;
    for (std::size_t v = 0; v < 2400; ++v) {
      auto const& near = short_vectors()[v];
      double product = 0, length = 0;
      for (std::size_t i = 0; i < 8; ++i) {
        product += word[i] / 4.0 * near[i];
        length += near[i] * near[i];
      }
      outermost = std::max(outermost, product / (2 * length));  // 1: half way to a point of 4 E8
    }
  }
  CHECK(words.size() == 65536);
  CHECK(outermost == 1);
  std::size_t opposite = 0;
  for (auto word : words) {
    for (int& v : word) v = -v;
    opposite += words.count(word);
  }
  CHECK(opposite == 65536);
}

TEST_CASE("e8_lattice: groups outside the cell are not wrapped: the error is that of the nearest word, nearly") {
  std::vector<detail::e8_quarters> words(65536);
  for (std::uint32_t code = 0; code < 65536; ++code) detail::e8_word(code, words[code]);
  support::generator g(5);
  double found = 0, best = 0;
  for (int draw = 0; draw < 60; ++draw) {
    detail::e8_vector z;
    detail::e8_quarters q;
    gaussian_vector(g, 1 + draw % 3, z);
    detail::nearest_e8(z, q);
    if (detail::is_e8_word(q) == 0) detail::word_inside(z, q);
    CHECK(detail::is_e8_word(q) != 0);
    double least = distance(z, q);
    found += least;
    for (auto const& w : words) least = std::min(least, distance(z, w));
    best += least;
  }
  CHECK(found <= 1.1 * best);
}

TEST_CASE("e8_lattice: behind a rotation the mean squared error of Gaussian values is at most 0.095") {
  // Two bits per value: 0.0625 is the bound of rate and distortion, 0.1175 the best scalar quantizer (Lloyd-Max).
  auto const x = support::gaussian_values(1 << 18, 11);
  double const error = mean_squared_error(x, support::round_trip(hadamard_rotate{} | e8_lattice{}, x));
  CHECK(error <= 0.095);
  CHECK(error >= 0.0925);  // the nearest words of all reach 0.093
  CHECK(payload_bytes<float>(e8_lattice{}, 1 << 18) == (1 << 16) + 4 * (1 << 9));
}

TEST_CASE("e8_lattice: the same bytes everywhere, for any length and block") {
  for (std::size_t n : {0u, 1u, 7u, 8u, 9u, 511u, 513u, 4097u, 70000u})
    for (std::uint32_t block : {16u, 512u, 4096u}) {
      CAPTURE(n);
      CAPTURE(block);
      CHECK(support::same_everywhere(e8_lattice{block}, support::heavy_tailed_values(n)));
    }
  CHECK(support::same_everywhere(hadamard_rotate{} | e8_lattice{} | cast<bfloat16>{}, support::gaussian_values(5000)));
}

TEST_CASE("e8_lattice: the error is never larger than the block") {
  for (auto const& c : support::finite_cases(5000)) {
    CAPTURE(c.name);
    for (std::uint32_t block : {16u, 4096u}) {
      auto const back = support::round_trip(e8_lattice{block}, c.values);
      for (std::size_t first = 0; first < c.values.size(); first += block) {
        double error = 0, norm = 0;
        for (std::size_t i = first; i < std::min<std::size_t>(c.values.size(), first + block); ++i) {
          error += std::pow(double{c.values[i]} - double{back[i]}, 2);
          norm += std::pow(double{c.values[i]}, 2);
        }
        CHECK(error <= norm * (1 + 1e-6));
      }
    }
  }
  std::vector<float> spike(4096);  // one value takes all of the block's mean square
  spike[100] = -3e38f;
  auto const back = support::round_trip(e8_lattice{4096}, spike);
  CHECK(back[100] < 0);
  CHECK(std::isfinite(back[100]));
}

TEST_CASE("e8_lattice: what is not finite spoils its block alone") {
  for (float const bad : {support::quiet_nan, support::inf, -support::inf}) {
    auto x = support::gaussian_values(2048, 7);
    x[600] = bad;
    auto const back = support::round_trip(e8_lattice{256}, x);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::isnan(back[i]) == (i / 256 == 600 / 256));
  }
}

TEST_CASE("e8_lattice: settings out of range") {
  for (std::uint32_t block : {0u, 8u, 24u, 8192u})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(e8_lattice{block}, 10)), invalid_argument);
}
