#include <support/codec.hpp>
#include <support/generators.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/approximate_top_k.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<approximate_top_k>() && vector_stage<approximate_top_k> && !linear<approximate_top_k>);

struct sent {
  std::size_t selected, left_out;
};
sent counts(std::vector<std::byte> const& bytes) {
  auto const h = detail::counted_header::read(bytes, "test");
  return {h.selected, h.left_out};
}

}  // namespace

TEST_CASE("approximate_top_k: what is sent reaches a bound that nothing else reaches, and never more than k") {
  for (std::size_t n : {1u, 100u, 4097u, 50000u})
    for (auto const& values : support::selection_cases(n)) {
      CAPTURE(values.name);
      CAPTURE(n);
      for (double ratio : {0.01, 0.3, 1.0}) {
        approximate_top_k const c{.ratio = ratio};
        std::size_t const k = std::max<std::size_t>(1, static_cast<std::size_t>(ratio * static_cast<double>(n)));
        auto const bytes = support::encoded(c, values.values, {.at = 3});
        auto const [selected, left_out] = counts(bytes);
        CHECK(selected <= k);
        auto const back = support::decoded(c, bytes, n, {.at = 3});
        std::uint32_t least = 0xffffffffu, most = 0;
        std::size_t kept = 0, changed = 0;
        for (std::size_t i = 0; i < n; ++i) {
          std::uint32_t const key = support::key_of(values.values[i]);
          bool const is_kept = support::key_of(back[i]) != 0;
          kept += is_kept;
          if (is_kept) least = std::min(least, key);
          changed += is_kept && !std::isnan(back[i]) && back[i] != values.values[i];
          if (!is_kept) most = std::max(most, key);
        }
        CHECK(kept == selected);
        CHECK(changed == 0);
        if (left_out == 0 && selected > 0) CHECK(least > most);
      }
    }
}

TEST_CASE("approximate_top_k: about k values, from a sample") {
  std::size_t const n = 1 << 20;
  for (auto const& x : {support::gaussian_values(n, 3), support::heavy_tailed_values(n, 4)})
    for (double ratio : {0.01, 0.1, 0.5}) {
      CAPTURE(ratio);
      auto const [selected, left_out] = counts(support::encoded(approximate_top_k{.ratio = ratio}, x, {.at = 1}));
      double const k = ratio * static_cast<double>(n);
      CHECK(static_cast<double>(selected) <= k);
      CHECK(static_cast<double>(selected) >= 0.8 * k);  // two corrections see to it for values without ties
      CHECK(left_out == 0);
    }
}

TEST_CASE("approximate_top_k: exactly the k largest, where the sample is the whole tensor") {
  for (std::size_t n : {100u, 8191u, 8192u})
    for (std::uint64_t k : {1u, 10u, 99u}) {
      CAPTURE(n);
      CAPTURE(k);
      auto const x = support::gaussian_values(n, 2);
      auto const back = support::round_trip(approximate_top_k{.count = k}, x);
      CHECK(back == support::round_trip(top_k{.count = k}, x));
      CHECK(n - static_cast<std::size_t>(std::count(back.begin(), back.end(), 0.0f)) == k);
    }
}

TEST_CASE("approximate_top_k: a sample that misleads is corrected twice") {
  std::size_t const n = 1 << 17;
  std::vector<float> place(n), drawn(detail::bound_search::most_sampled);
  for (std::size_t i = 0; i < n; ++i) place[i] = static_cast<float>(i);
  detail::draw_sample({1}, instruction_set::baseline, place, drawn.size(), drawn.data());
  auto x = support::gaussian_values(n, 6);
  for (std::size_t j = 0; j < drawn.size(); j += 2) x[static_cast<std::size_t>(drawn[j])] = 5;  // half of the sample
  auto const bytes = support::encoded(approximate_top_k{.ratio = 0.1}, x, {.at = 1});
  CHECK(counts(bytes).selected <= n / 10);
  CHECK(counts(bytes).selected >= n / 32);  // the 4096 that lie, at least: the first bound lies above all others
  auto const back = support::decoded(approximate_top_k{.ratio = 0.1}, bytes, n, {.at = 1});
  for (std::size_t j = 0; j < drawn.size(); j += 2) CHECK(back[static_cast<std::size_t>(drawn[j])] == 5);
}

TEST_CASE("approximate_top_k: of equal values an overflow sends others in each step") {
  std::vector<float> const x(10000, 2.0f);
  approximate_top_k const c{.ratio = 0.02};
  auto const first = support::encoded(c, x, {.at = 1}), second = support::encoded(c, x, {.at = 2});
  CHECK(counts(first).selected == 200);
  CHECK(counts(first).left_out == 9800);
  CHECK(approximate_top_k::overflow(first) == 9800);
  CHECK(first != second);
  CHECK(counts(support::encoded(c, std::vector<float>(10000), {.at = 1})).selected == 0);
}

TEST_CASE("approximate_top_k: the same bytes everywhere") {
  for (std::size_t n : {0u, 1u, 8192u, 8193u, 300000u})
    CHECK(support::same_everywhere(approximate_top_k{.ratio = 0.03}, support::heavy_tailed_values(n), {.at = 4}));
  CHECK(support::same_everywhere(approximate_top_k{} | uniform_quantize<8>{}, support::gaussian_values(100000),
                                 {.at = 4}));
}

TEST_CASE("approximate_top_k: settings and payloads that are refused") {
  for (double ratio : {0.0, -1.0, 1.5})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(approximate_top_k{.ratio = ratio}, 10)), invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(approximate_top_k{}.carrier_size(std::size_t{1} << 32)), invalid_argument);
  approximate_top_k const c{.ratio = 0.1};
  auto bytes = support::encoded(c, support::gaussian_values(1000), {.at = 1});
  std::vector<float> out(1000, 7.0f);
  workspace<host_exec> ws;
  for (unsigned const selected : {101u, 99u, 0u}) {  // more than fit; not as many as there are indices
    auto forged = bytes;
    forged[0] = static_cast<std::byte>(selected);
    if (selected == counts(bytes).selected) continue;
    CHECK_THROWS_AS(decode({}, c, forged, std::span(out), ws, {.at = 1}), payload_error);
    CHECK(out == std::vector<float>(1000, 7.0f));
  }
}
