#include <support/codec.hpp>
#include <support/generators.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/engine/host/random.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<top_k>() && vector_stage<top_k> && !linear<top_k>);

struct selection {
  std::vector<std::uint32_t> index;
  std::vector<float> value;
};
selection select(host_exec const& ex, std::vector<float> const& x, std::size_t k) {
  constexpr std::size_t guard = 8;
  selection s{std::vector<std::uint32_t>(k + guard, 0xabababab), std::vector<float>(k + guard, -77.0f)};
  workspace<host_exec> ws{ex};
  auto const room = ws.reserve(detail::selection_bytes({x.size(), k}));
  detail::select_largest(ex, x, k, detail::scratch(room), s.index.data(), s.value.data());
  for (std::size_t i = k; i < k + guard; ++i) {
    CHECK(s.index[i] == 0xabababab);
    CHECK(s.value[i] == -77.0f);
  }
  s.index.resize(k);
  s.value.resize(k);
  return s;
}

void check_selection(std::vector<float> const& x, std::size_t k, std::vector<host_exec> const& execs) {
  auto const expected = support::naive_top_k(x, k);
  for (auto const& ex : execs) {
    CAPTURE(ex.threads);
    CAPTURE(detail::isa_name(ex.isa));
    CAPTURE(k);
    auto const got = select(ex, x, k);
    CHECK(got.index == expected);
    bool same = true;
    for (std::size_t i = 0; i < k; ++i)
      same = same && std::bit_cast<std::uint32_t>(got.value[i]) == std::bit_cast<std::uint32_t>(x[expected[i]]);
    CHECK(same);
  }
}

}  // namespace

TEST_CASE("top_k: small tensors, every k that matters, against sorting") {
  for (std::size_t n : {1u, 2u, 31u, 32u, 33u, 100u})
    for (auto const& c : support::selection_cases(n)) {
      CAPTURE(c.name);
      CAPTURE(n);
      for (std::size_t k : {std::size_t{1}, std::size_t{2}, n / 2, n - 1, n})
        if (k >= 1 && k <= n) check_selection(c.values, k, support::host_execs());
    }
}

TEST_CASE("top_k: around a tile and around the sampled path, against sorting") {
  for (std::size_t n : {2048u, 2049u, 4095u, 4096u, 4097u, 12289u})
    for (auto const& c : support::selection_cases(n)) {
      CAPTURE(c.name);
      CAPTURE(n);
      for (std::size_t k : {std::size_t{1}, n / 1000 + 1, n / 100, n / 10, n / 2, n})
        check_selection(c.values, k, {{1, instruction_set::baseline}, {2}, {1}});
    }
}

TEST_CASE("top_k: large tensors in teams, on every instruction set, against sorting") {
  for (auto const& c : support::selection_cases(65537 * 4)) {
    CAPTURE(c.name);
    for (double ratio : {0.001, 0.01, 0.3})
      check_selection(c.values, static_cast<std::size_t>(ratio * 65537 * 4), support::host_execs());
  }
}

TEST_CASE("top_k: a million values") {
  std::size_t const n = 1000007;
  for (auto const& x : {support::heavy_tailed_values(n, 3), std::vector<float>(n, 2.5f)})
    for (std::size_t k : {std::size_t{1}, n / 100, n * 9 / 10}) check_selection(x, k, {{1}, {2}, {7}});
}

TEST_CASE("top_k: data that contradicts the sample is still selected exactly") {
  // The places the sample looks at are known; values there that lie about the rest make the bound too low or too high.
  std::size_t const n = 1u << 20;
  auto const rest = support::gaussian_values(n, 5);
  for (std::size_t k : {std::size_t{200}, n / 100, n / 5}) {
    detail::selection_plan const plan(n, k);
    REQUIRE(plan.sample > 0);
    std::vector<float> place(n), drawn(plan.sample);
    for (std::size_t i = 0; i < n; ++i) place[i] = static_cast<float>(i);  // below 2^24: exact
    detail::draw_sample({1}, instruction_set::baseline, place, plan.sample, drawn.data());
    for (float lie : {0.0f, 1e9f, 0.25f}) {
      CAPTURE(lie);
      auto x = rest;
      for (float const p : drawn) x[static_cast<std::size_t>(p)] = lie;
      check_selection(x, k, {{1}, {2}});
      for (std::size_t i = 0; i < n; ++i) x[i] = x[i] == lie ? lie : 0.5f;  // and the rest ties
      check_selection(x, k, {{1}, {2}});
    }
  }
}

TEST_CASE("top_k: a low part of the array is scanned with the same care as its vectors' tails") {
  for (std::size_t n = 1; n < 70; ++n)
    for (auto isa : support::instruction_sets()) {
      auto const x = support::gaussian_values(n, n);
      std::uint32_t const key = support::key_of(0.8f);
      detail::tile_offsets offsets;
      std::size_t const found = detail::offsets_reaching(isa, x.data(), n, key, offsets);
      std::vector<std::uint32_t> expected;
      for (std::size_t i = 0; i < n; ++i)
        if (support::key_of(x[i]) >= key) expected.push_back(static_cast<std::uint32_t>(i));
      CHECK(std::vector<std::uint32_t>(offsets, offsets + found) == expected);
      CHECK(detail::offsets_reaching(isa, x.data(), n, 0x80000000u, offsets) == 0);
      CHECK(detail::offsets_reaching(isa, x.data(), n, 0, offsets) == n);
    }
}

TEST_CASE("top_k: how many values") {
  CHECK(top_k{}.carrier_size(0) == 0);
  CHECK(top_k{}.carrier_size(1) == 1);
  CHECK(top_k{}.carrier_size(99) == 1);
  CHECK(top_k{}.carrier_size(1000) == 10);
  CHECK(top_k{.ratio = 1}.carrier_size(1001) == 1001);
  CHECK(top_k{.count = 5}.carrier_size(1000) == 5);
  CHECK(top_k{.count = 5}.carrier_size(3) == 3);
  CHECK_THROWS_AS(static_cast<void>(top_k{}.carrier_size(std::size_t{1} << 32)), invalid_argument);
  CHECK(top_k{.count = 1}.carrier_size((std::size_t{1} << 32) - 1) == 1);
  for (double ratio : {0.0, -1.0, 1.5, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(top_k{.ratio = ratio}, 10)), invalid_argument);
  CHECK(text(top_k{.count = 7, .indices = index_coding::bitmap}) == "top_k(count=7, indices=bitmap)");
}

TEST_CASE("top_k: payload and decoded values are the same everywhere and hold the largest") {
  for (std::size_t n : {0u, 1u, 2u, 33u, 4097u, 65537u})
    for (auto coding : {index_coding::automatic, index_coding::raw, index_coding::packed, index_coding::bitmap}) {
      top_k const c{.ratio = 0.02, .indices = coding};
      for (auto const& values : support::selection_cases(n)) {
        CAPTURE(values.name);
        CAPTURE(n);
        auto const bytes = support::encoded(c, values.values);
        CHECK(bytes.size() == payload_bytes<float>(c, n));
        auto const back = support::decoded(c, bytes, n);
        std::vector<float> expected(n);
        if (n > 0)
          for (auto i : support::naive_top_k(values.values, c.carrier_size(n)))
            expected[i] = std::isnan(values.values[i]) ? detail::canonical_nan() : values.values[i];
        CHECK(support::bits_of(back) == support::bits_of(expected));
      }
      CHECK(support::same_everywhere(c, support::heavy_tailed_values(n)));
    }
}

TEST_CASE("top_k: 16-bit tensors keep their values exactly") {
  auto const x = support::gaussian_values(10000, 9);
  auto check = [&]<class T>(T) {
    std::vector<T> narrow;
    std::vector<float> wide;
    for (float const v : x) {
      narrow.push_back(T(v));
      wide.push_back(static_cast<float>(narrow.back()));
    }
    top_k const c;
    CHECK(support::encoded(c, narrow).size() < support::encoded(c, wide).size());
    auto const back = support::round_trip(c, narrow);
    auto const expected = support::round_trip(c, wide);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(static_cast<float>(back[i]) == expected[i]);
  };
  check(float16{});
  check(bfloat16{});
}

TEST_CASE("top_k: the error is what the contraction allows") {
  for (auto const& c : support::finite_cases(5000)) {
    if (c.name.find("largest") != std::string::npos || c.name == "huge") continue;  // squares leave no double behind
    CAPTURE(c.name);
    top_k const stage{.ratio = 0.1};
    auto const back = support::round_trip(stage, c.values);
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < back.size(); ++i) {
      error += std::pow(double{c.values[i]} - double{back[i]}, 2);
      norm += std::pow(double{c.values[i]}, 2);
    }
    CHECK(error <= (1 - stage.contraction(5000)) * norm * (1 + 1e-9));
  }
  CHECK(top_k{.ratio = 0.1}.contraction(5000) == doctest::Approx(0.1));
}

TEST_CASE("top_k: values may go through a further stage") {
  auto const x = support::heavy_tailed_values(100000);
  auto const c = top_k{.ratio = 0.01} | uniform_quantize<8>{};
  CHECK(support::same_everywhere(c, x));
  auto const plain = support::round_trip(top_k{.ratio = 0.01}, x), coded = support::round_trip(c, x);
  float largest = 0;
  for (float const v : plain) largest = std::max(largest, std::fabs(v));
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (plain[i] == 0) CHECK(coded[i] == 0);
    CHECK(std::fabs(plain[i] - coded[i]) <= largest / 253);  // half a scale, which is a little above largest / 127
  }
  CHECK(payload_bytes<float>(c, x.size()) < payload_bytes<float>(top_k{.ratio = 0.01}, x.size()) / 2);
}
