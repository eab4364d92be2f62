#include <support/codec.hpp>
#include <support/contraction.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/threshold.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<threshold>() && vector_stage<threshold> && !linear<threshold>);

/// What should come back: everything from the bound on; of more than fits, what is not finite if anything is, and the
/// first from `start` on, around the end.
std::vector<float> expected_values(std::vector<float> const& x, float bound, std::size_t most, std::size_t start,
                                   std::size_t& left_out) {
  std::vector<float> out(x.size());
  std::size_t kept = 0, reached = 0;
  left_out = 0;
  bool all_finite = true;
  for (float const v : x) {
    reached += v != 0 && !(std::fabs(v) < bound);
    all_finite = all_finite && std::isfinite(v);
  }
  bool const only_bad = reached > most && !all_finite;
  for (std::size_t j = 0; j < x.size(); ++j) {
    std::size_t const i = (start + j) % x.size();
    if (x[i] == 0 || std::fabs(x[i]) < bound) continue;
    if (kept < most && !(only_bad && std::isfinite(x[i]))) {
      out[i] = std::isnan(x[i]) ? detail::canonical_nan() : x[i];
      ++kept;
    } else {
      ++left_out;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("threshold: keeps what reaches the bound, as far as it fits, and counts the rest") {
  for (std::size_t n : {0u, 1u, 2u, 31u, 33u, 4095u, 4096u, 4097u, 65537u})
    for (auto const& c : support::selection_cases(n))
      for (auto const& stage : {threshold{.value = 1.5f}, threshold{.value = 1e-3f, .capacity_ratio = 1},
                                threshold{.value = 1e-44f, .capacity_ratio = 0.3}, threshold{.value = 1e30f}}) {
        CAPTURE(c.name);
        CAPTURE(n);
        CAPTURE(text(stage));
        pass_options const at{.at = 2, .tensor = 7};
        std::size_t left_out = 0;
        std::size_t const start = n ? hash64(hash64(0, at.at), at.tensor) % n : 0;
        auto const expected = expected_values(c.values, stage.value, stage.carrier_size(n), start, left_out);
        auto const bytes = support::encoded(stage, c.values, at);
        CHECK(bytes.size() <= payload_bytes<float>(stage, n));
        CHECK(threshold::overflow(bytes) == left_out);
        CHECK(support::bits_of(support::decoded(stage, bytes, n)) == support::bits_of(expected));
      }
}

TEST_CASE("threshold: the relative bound is a multiple of the root of the mean square of what is finite") {
  auto x = support::gaussian_values(20000, 4, 0.01);
  double sum = 0;
  for (float const v : x) sum += double{v} * double{v};
  float const bound = static_cast<float>(2.5 * std::sqrt(sum / 20000));
  threshold const relative{.relative = 2.5f}, absolute{.value = bound, .relative = 0};
  CHECK(support::encoded(relative, x) == support::encoded(absolute, x));
  x[7] = support::quiet_nan;
  x[9000] = -support::inf;
  auto const back = support::round_trip(relative, x);
  CHECK(std::isnan(back[7]));
  CHECK(back[9000] == x[9000]);
  std::size_t kept = 0;
  for (float const v : back) kept += v != 0;
  CHECK(kept > 100);
  CHECK(kept < 400);
}

TEST_CASE("threshold: a relative bound keeps at least the largest value, however flat the tensor") {
  for (std::size_t n : {1u, 2u, 4097u})
    for (float relative : {1.0f, 3.0f, 1e30f}) {
      threshold const stage{.relative = relative, .capacity_ratio = 1};
      std::vector<float> x(n, 0.3f);
      x[n / 2] = -0.30001f;
      auto const back = support::round_trip(stage, x);
      CHECK(back[n / 2] == x[n / 2]);
      double kept = 0, norm = 0;
      for (std::size_t i = 0; i < n; ++i) {
        kept += double{back[i]} * double{back[i]};
        norm += double{x[i]} * double{x[i]};
      }
      CHECK(kept >= stage.contraction(n) * norm * (1 - 1e-6));
    }
  CHECK(threshold{.relative = 0.5f}.contraction(10) == doctest::Approx(0.025));
  CHECK(threshold{.value = 1}.contraction(10) == 0);
}

TEST_CASE("threshold: zeros are never sent, and a tensor of zeros sends none") {
  std::vector<float> const zeros(5000, -0.0f);
  auto const bytes = support::encoded(threshold{}, zeros);
  CHECK(bytes.size() == detail::pad16(threshold{}.side_bytes(5000)));
  CHECK(support::decoded(threshold{}, bytes, 5000) == std::vector<float>(5000));
}

TEST_CASE("threshold: of what overflows, other values fit at every step") {
  for (std::size_t n : {50u, 9000u}) {
    std::vector<float> const x(n, 1.0f);
    threshold const stage{.value = 0.5f, .capacity_ratio = 0.1};
    std::vector<int> sent(n);
    for (int t = 0; t < 200; ++t) {
      auto const back = support::round_trip(stage, x, {.at = t});
      std::size_t kept = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sent[i] += back[i] == 1;
        kept += back[i] == 1;
      }
      CHECK(kept == n / 10);
    }
    CHECK(*std::min_element(sent.begin(), sent.end()) > 3);
    CHECK(*std::max_element(sent.begin(), sent.end()) < 60);
  }
}

TEST_CASE("threshold: the same bytes everywhere, overflow included") {
  for (auto const& x : {support::heavy_tailed_values(300001), std::vector<float>(300001, 1.0f)})
    for (auto const& stage : {threshold{.relative = 2}, threshold{.value = 1e-4f, .capacity_ratio = 0.01},
                              threshold{.relative = 1, .indices = index_coding::raw}})
      CHECK(support::same_everywhere(stage, x));
}

TEST_CASE("threshold: counts that no encode writes are refused before anything is written") {
  threshold const stage{.value = 1, .capacity_ratio = 0.1};
  auto const x = support::gaussian_values(1000);
  auto const good = support::encoded(stage, x);
  std::uint32_t kept = 0;
  std::memcpy(&kept, good.data(), 4);
  REQUIRE(kept == 100);
  auto refused = [&](std::uint32_t k, std::uint32_t left_out) {
    auto bytes = good;
    std::memcpy(bytes.data(), &k, 4);
    std::memcpy(bytes.data() + 4, &left_out, 4);
    std::vector<float> out(1000, -5.0f);
    support::payload_buffer payload(bytes.size());
    std::copy(bytes.begin(), bytes.end(), payload.bytes().begin());
    workspace<host_exec> ws{host_exec{1}};
    try {
      decode(host_exec{1}, stage, payload, out, ws);
    } catch (payload_error const&) {
      return out == std::vector<float>(1000, -5.0f);
    }
    return false;
  };
  CHECK(refused(101, 0));
  CHECK(refused(0, 0));
  CHECK(refused(99, 0));
  CHECK(refused(0xffffffffu, 0));
  CHECK(refused(100, 901));
  CHECK(refused(100, 0xffffffffu));
  CHECK_THROWS_AS(threshold::overflow({good.data(), 7}), payload_error);
}

TEST_CASE("threshold: settings") {
  auto check = [](threshold const& t) { static_cast<void>(payload_bytes<float>(t, 10)); };
  check(threshold{});
  CHECK_THROWS_AS(check(threshold{.value = -1}), invalid_argument);
  CHECK_THROWS_AS(check(threshold{.value = 0, .relative = 0}), invalid_argument);
  CHECK_THROWS_AS(check(threshold{.relative = support::inf}), invalid_argument);
  CHECK_THROWS_AS(check(threshold{.capacity_ratio = 0}), invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(threshold{}.side_bytes(std::size_t{1} << 32)), invalid_argument);
}

TEST_CASE("threshold: a further stage codes as many values as were kept") {
  auto const x = support::heavy_tailed_values(50000);
  auto const c = threshold{.relative = 2} | uniform_quantize<8>{};
  CHECK(support::same_everywhere(c, x));
  auto const plain = support::round_trip(threshold{.relative = 2}, x), coded = support::round_trip(c, x);
  float largest = 0;
  for (float const v : plain) largest = std::max(largest, std::fabs(v));
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::fabs(plain[i] - coded[i]) <= largest / 253);
}

TEST_CASE("threshold: a contraction, not linear") {
  static_assert(!linear<threshold>);
  support::check_contraction(threshold{}, 1);
  support::check_contraction(threshold{.relative = 0.5f, .capacity_ratio = 0.5}, 1);
}
