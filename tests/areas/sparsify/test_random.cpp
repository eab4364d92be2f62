#include <support/codec.hpp>
#include <support/contraction.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>
#include <support/saturation.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<random_k>() && vector_stage<random_k> && linear<random_k>);
static_assert(check_stage<random_block>() && vector_stage<random_block> && linear<random_block>);
static_assert(linear<decltype(random_k{} | random_k{})> && !linear<decltype(random_k{} | uniform_quantize<8>{})>);

std::vector<float> ones(std::size_t n) { return std::vector<float>(n, 1.0f); }
std::vector<std::size_t> kept_places(auto const& stage, std::size_t n, pass_options at = {}) {
  auto const back = support::round_trip(stage, ones(n), at);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < n; ++i)
    if (back[i] != 0) places.push_back(i);
  return places;
}

template <class F> void for_each_stage(F const& f) {
  for (bool unbiased : {false, true}) {
    f(random_k{.ratio = 0.1, .unbiased = unbiased});
    f(random_k{.ratio = 0.37, .seed = 5, .unbiased = unbiased});
    f(random_block{.ratio = 0.1, .unbiased = unbiased});
    f(random_block{.ratio = 0.3, .blocks = 7, .seed = 5, .unbiased = unbiased});
  }
}

}  // namespace

TEST_CASE("random sparsifiers: keep k distinct values as they are, everything else is zero") {
  for_each_stage([](auto const& stage) {
    for (std::size_t n : {0u, 1u, 2u, 31u, 32u, 33u, 511u, 513u, 4095u, 4097u, 65537u}) {
      CAPTURE(text(stage));
      CAPTURE(n);
      auto const x = support::gaussian_values(n, 3);
      auto const back = support::round_trip(stage, x, {.at = 9});
      std::size_t kept = 0;
      bool same = true;
      for (std::size_t i = 0; i < n; ++i) {
        if (back[i] == 0) continue;
        ++kept;
        same = same && (stage.unbiased ? std::fabs(back[i] / x[i]) >= 1 : back[i] == x[i]);
      }
      CHECK(same);
      CHECK(kept == stage.carrier_size(n));
      CHECK(payload_bytes<float>(stage, n) == detail::pad16(4 * stage.carrier_size(n)));
      CHECK(support::same_everywhere(stage, x, {.at = 9, .tensor = 4}));
    }
  });
}

TEST_CASE("random sparsifiers: all ranks draw alike; step, tensor and seed change the places") {
  for_each_stage([](auto stage) {
    CAPTURE(text(stage));
    auto const base = kept_places(stage, 10000);
    CHECK(kept_places(stage, 10000, {.rank = 3}) == base);
    CHECK(kept_places(stage, 10000, {.at = 1}) != base);
    CHECK(kept_places(stage, 10000, {.tensor = 1}) != base);
    CHECK(kept_places(stage, 10000, {.tensor = std::uint64_t{1} << 40}) != base);
    stage.seed += 1;
    CHECK(kept_places(stage, 10000) != base);
  });
}

TEST_CASE("random_block: blocks are contiguous, but for going on at the start of their stretch") {
  for (std::uint64_t at = 0; at < 50; ++at) {
    auto const places = kept_places(random_block{.count = 100}, 1000, {.at = at});
    std::size_t gaps = 0;
    for (std::size_t i = 1; i < places.size(); ++i) gaps += places[i] != places[i - 1] + 1;
    CHECK(gaps <= 1);
    if (gaps == 1) CHECK((places.front() == 0 && places.back() == 999));
  }
  auto const whole = kept_places(random_block{.ratio = 1, .blocks = 3}, 1000);
  CHECK(whole.size() == 1000);
}

TEST_CASE("random sparsifiers: every value is kept as often as claimed, and unbiased ones add up") {
  // 20000 draws of each value: five standard deviations of its relative frequency.
  constexpr std::size_t n = 53;
  constexpr int rounds = 20000;
  for_each_stage([](auto const& stage) {
    CAPTURE(text(stage));
    auto const k = stage.carrier_size(n);
    std::vector<double> sum(n), hits(n);
    host_exec const ex{1};
    std::vector<float> carrier(k), back(n);
    auto const x = ones(n);
    for (int round = 0; round < rounds; ++round) {
      pass_options const at{.at = round};
      stage.encode(ex, x, {}, carrier, {}, at);
      stage.decode(ex, {}, carrier, back, {}, at);
      for (std::size_t i = 0; i < n; ++i) {
        sum[i] += double{back[i]};
        hits[i] += back[i] != 0;
      }
    }
    double least = 1;
    for (std::size_t i = 0; i < n; ++i) {
      double const p = hits[i] / rounds;
      least = std::min(least, p);
      CHECK(p > 0.5 * static_cast<double>(k) / n);
      if (stage.unbiased) {
        double const scale = sum[i] / hits[i], deviation = scale * std::sqrt(p * (1 - p) / rounds);
        CHECK(std::fabs(sum[i] / rounds - 1) < 5 * deviation + 1e-6);
      }
    }
    if (!stage.unbiased) CHECK(least > stage.contraction(n) - 5 * std::sqrt(0.25 / rounds));
  });
}

TEST_CASE("random sparsifiers: the expected error is what the contraction says") {
  auto const x = support::heavy_tailed_values(1003);
  double norm = 0;
  for (float const v : x) norm += double{v} * double{v};
  for_each_stage([&](auto const& stage) {
    CAPTURE(text(stage));
    double error = 0;
    constexpr int rounds = 400;
    for (int round = 0; round < rounds; ++round) {
      auto const back = support::round_trip(stage, x, {.at = round});
      for (std::size_t i = 0; i < x.size(); ++i) error += std::pow(double{x[i]} - double{back[i]}, 2);
    }
    double const allowed = 1 - stage.contraction(x.size());
    CHECK(error / rounds <= allowed * norm * 1.15);
    CHECK(error / rounds >= allowed * norm * 0.7);
    CHECK(stage.is_unbiased() == stage.unbiased);
  });
}

TEST_CASE("random sparsifiers: the sum of carriers decodes to the sum of decodings") {
  for_each_stage([](auto const& stage) {
    CAPTURE(text(stage));
    constexpr std::size_t n = 5000;
    host_exec const ex{2};
    // Small whole numbers: sums are exact in any order.
    auto whole = [](std::uint64_t seed) {
      auto x = support::gaussian_values(n, seed, 20);
      for (float& v : x) v = std::round(v);
      return x;
    };
    auto const x = whole(1), y = whole(2);
    std::vector<float> a(stage.carrier_size(n)), b(a.size()), decoded(n), summed(n);
    stage.encode(ex, x, {}, a, {}, {.at = 2, .rank = 0});
    stage.encode(ex, y, {}, b, {}, {.at = 2, .rank = 1});
    stage.accumulate(ex, {}, a, summed, 1.0f, {.at = 2});
    stage.accumulate(ex, {}, b, summed, 1.0f, {.at = 2});
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    stage.decode(ex, {}, a, decoded, {}, {.at = 2});
    for (std::size_t i = 0; i < n; ++i)
      CHECK(std::fabs(decoded[i] - summed[i]) <= 1e-4f);  // a few roundings of values up to 300
  });
}

TEST_CASE("random sparsifiers: 16-bit tensors, chains, non-finite values, settings") {
  for_each_stage([](auto const& stage) {
    CAPTURE(text(stage));
    auto const x = support::gaussian_values(20000, 8);
    std::vector<bfloat16> narrow;
    for (float const v : x) narrow.push_back(bfloat16(v));
    auto const back = support::round_trip(stage, narrow, {.at = 3});
    if (!stage.unbiased)
      for (std::size_t i = 0; i < x.size(); ++i) CHECK((back[i] == bfloat16(0.0f) || back[i] == narrow[i]));
    CHECK(support::same_everywhere(stage | uniform_quantize<8>{}, x));
    CHECK(support::same_everywhere(stage | stage, x));
    auto poisoned = x;
    for (std::size_t i = 0; i < x.size(); i += 2) poisoned[i] = support::quiet_nan;
    auto const p = support::round_trip(stage, poisoned, {.at = 3}), clean = support::round_trip(stage, x, {.at = 3});
    for (std::size_t i = 1; i < x.size(); i += 2) CHECK(p[i] == clean[i]);
    auto wrong = stage;
    wrong.ratio = 0;
    CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(wrong, 10)), invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(stage.carrier_size(std::size_t{1} << 32)), invalid_argument);
    std::vector<float> out(1000);
    std::vector<float> const carrier(stage.carrier_size(1000) + 1);
    CHECK_THROWS_AS(stage.decode({1}, {}, carrier, out, {}, {}), payload_error);
  });
  CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(random_block{.blocks = 0}, 10)), invalid_argument);
}

TEST_CASE("random sparsifiers: contraction on average unless unbiased, which feedback refuses") {
  for_each_stage([](auto const& stage) {
    CHECK(stage.is_unbiased() == stage.unbiased);
    if (stage.unbiased) CHECK_THROWS_AS(error_feedback(stage, 1000), invalid_argument);
    if (stage.unbiased) support::stays_finite(stage);
  });
  support::check_contraction(random_block{.ratio = 0.1}, 300);
  support::check_contraction(random_block{.ratio = 0.1, .blocks = 3}, 300);
}
