#include <support/codec.hpp>
#include <support/contraction.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/block_threshold.hpp>
#include <ccomp/sparsify/threshold.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<block_threshold>() && vector_stage<block_threshold> && !linear<block_threshold>);

struct block_mean {
  double mean = 0;  // square root of the mean of the squares of what is finite
  bool bad = false, zero = true;
};
std::vector<block_mean> block_means(std::vector<float> const& x, std::size_t size) {
  std::vector<block_mean> means;
  for (std::size_t first = 0; first < x.size(); first += size) {
    std::size_t const count = std::min(size, x.size() - first);
    block_mean m;
    double sum = 0;
    for (std::size_t i = first; i < first + count; ++i) {
      if (!std::isfinite(x[i])) m.bad = true;
      if (x[i] != 0) m.zero = false;
      if (std::isfinite(x[i])) sum += double{x[i]} * double{x[i]};
    }
    m.mean = std::sqrt(sum / static_cast<double>(count));
    means.push_back(m);
  }
  return means;
}

/// What should come back: blocks from the bound on; of more than fit, those with what is not finite if there are any, and
/// the first from `start` on, around the end.
std::vector<float> expected_values(std::vector<float> const& x, std::size_t size, double bound, std::size_t most,
                                   std::size_t start, std::size_t& left_out) {
  auto const means = block_means(x, size);
  auto const reaches = [&](block_mean const& m) { return !m.zero && (m.bad || m.mean >= bound); };
  auto const reached = static_cast<std::size_t>(std::count_if(means.begin(), means.end(), reaches));
  bool const only_bad =
      reached > most && std::any_of(means.begin(), means.end(), [](block_mean const& m) { return m.bad; });
  std::vector<float> out(x.size());
  std::size_t sent = 0;
  for (std::size_t j = 0; j < means.size() && sent < most; ++j) {
    std::size_t const b = (start + j) % means.size();
    if (!reaches(means[b]) || (only_bad && !means[b].bad)) continue;
    ++sent;
    for (std::size_t i = b * size; i < std::min((b + 1) * size, x.size()); ++i)
      out[i] = std::isnan(x[i]) ? detail::canonical_nan() : x[i];
  }
  left_out = reached - sent;
  return out;
}

}  // namespace

TEST_CASE("block_threshold: sends the blocks that reach the bound, as far as they fit, and counts the rest") {
  for (std::size_t n : {0u, 1u, 15u, 17u, 4095u, 4097u, 65537u})
    for (auto const& values : support::selection_cases(n))
      for (auto const& c :
           {block_threshold{.value = 0.9731f, .block = 16}, block_threshold{.value = 1e-3f, .capacity_ratio = 1},
            block_threshold{.value = 1e-45f, .block = 128, .capacity_ratio = 0.1},
            block_threshold{.value = 1.01f, .block = 4096, .capacity_ratio = 0.5}, block_threshold{.value = 1e30f},
            block_threshold{.value = 0.9731f, .whole_tensor = true}}) {
        CAPTURE(values.name);
        CAPTURE(n);
        CAPTURE(text(c));
        pass_options const at{.at = 2, .tensor = 7};
        std::size_t left_out = 0, blocks = c.blocks(n);
        std::size_t const start = n ? hash64(hash64(0, at.at), at.tensor) % blocks : 0;
        auto const expected =
            expected_values(values.values, n ? c.block_size(n) : 1, double{c.value}, c.capacity(n), start, left_out);
        auto const bytes = support::encoded(c, values.values, at);
        CHECK(bytes.size() <= payload_bytes<float>(c, n));
        CHECK(block_threshold::overflow(bytes) == left_out);
        CHECK(support::bits_of(support::decoded(c, bytes, n)) == support::bits_of(expected));
        for (auto const isa : support::instruction_sets())
          CHECK(support::encoded(c, values.values, at, {1, isa}) == bytes);
      }
}

TEST_CASE("block_threshold: a silent tensor sends its side bytes alone, and zeros are always silent") {
  std::size_t const n = 100000;
  auto const x = support::gaussian_values(n, 3, 0.01);
  auto const silent = [&](block_threshold const& c, std::vector<float> const& values) {
    auto const bytes = support::encoded(c, values);
    CHECK(bytes.size() == detail::pad16(c.side_bytes(n)));
    CHECK(support::decoded(c, bytes, n) == std::vector<float>(n));
    return bytes.size();
  };
  CHECK(silent({.value = 0.02f, .whole_tensor = true}, x) == 16);
  CHECK(silent({.value = 0.02f}, x) == detail::pad16(8 + 8 * 25));  // 1563 blocks: 25 words of bits
  silent({}, std::vector<float>(n, -0.0f));
  silent({.value = 1e-45f, .whole_tensor = true}, std::vector<float>(n));
  // The bound is reached or not by the tensor as a whole.
  CHECK(support::round_trip(block_threshold{.value = 0.0098f, .whole_tensor = true}, x) == x);
  auto y = x;
  y[n - 1] = support::inf;
  CHECK(support::round_trip(block_threshold{.value = 0.02f, .whole_tensor = true}, y) == y);
}

TEST_CASE("block_threshold: the relative bound is a multiple of the tensor's root mean square") {
  auto x = support::gaussian_values(40000, 4, 0.01);
  for (std::size_t i = 0; i < 1000; ++i) x[5000 + i] *= 10;
  auto const all = block_means(x, x.size())[0];
  auto const bound = static_cast<float>(1.5 * all.mean);
  block_threshold const relative{.relative = 1.5f, .block = 64}, absolute{.value = bound, .relative = 0, .block = 64};
  auto const bytes = support::encoded(relative, x);
  CHECK(bytes == support::encoded(absolute, x));
  auto const back = support::decoded(relative, bytes, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(back[i] == (i >= 4992 && i < 6016 ? x[i] : 0.0f));
  x[7] = support::quiet_nan;  // neither in the mean nor in the largest
  CHECK(std::isnan(support::round_trip(relative, x)[7]));
}

TEST_CASE("block_threshold: a relative bound sends at least the largest block, however flat the tensor") {
  for (std::size_t n : {1u, 2u, 4097u, 5000u})
    for (float relative : {0.5f, 1.0f, 3.0f, 1e30f}) {
      block_threshold const c{.relative = relative, .block = 64, .capacity_ratio = 1};
      std::vector<float> x(n, 0.3f);
      x[n - 1] = -0.30001f;
      auto const back = support::round_trip(c, x);
      CHECK(back[n - 1] == x[n - 1]);
      double sent = 0, norm = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sent += double{back[i]} * double{back[i]};
        norm += double{x[i]} * double{x[i]};
      }
      CHECK(sent >= c.contraction(n) * norm * (1 - 1e-6));
    }
  CHECK(block_threshold{.relative = 0.5f, .block = 64}.contraction(640) == doctest::Approx(0.025));
  CHECK(block_threshold{.relative = 0.5f, .block = 64}.contraction(100) == doctest::Approx(0.25 * 0.36));
  CHECK(block_threshold{.value = 1}.contraction(10) == 0);
  support::check_contraction(block_threshold{.block = 64}, 1);
  support::check_contraction(block_threshold{.relative = 0.5f, .block = 16, .capacity_ratio = 0.5}, 1);
}

TEST_CASE("block_threshold: a block that is not zero is never taken for one") {
  std::vector<float> x(4096 + 10);
  x[5] = x[4100] = -0x1p-149f;  // the root mean square of the first block is 2^-155
  block_threshold const c{.value = 1e-45f, .block = 4096, .capacity_ratio = 1};
  CHECK(support::round_trip(c, x) == x);
}

TEST_CASE("block_threshold: of what overflows, other blocks fit at every step") {
  std::vector<float> const x(50 * 16, 1.0f);
  block_threshold const c{.value = 0.5f, .block = 16, .capacity_ratio = 0.1};
  std::vector<int> sent(50);
  for (int t = 0; t < 200; ++t) {
    auto const back = support::round_trip(c, x, {.at = t});
    int blocks = 0;
    for (std::size_t b = 0; b < 50; ++b) {
      sent[b] += back[16 * b] == 1;
      blocks += back[16 * b] == 1;
    }
    CHECK(blocks == 5);
  }
  CHECK(*std::min_element(sent.begin(), sent.end()) > 3);
  CHECK(*std::max_element(sent.begin(), sent.end()) < 60);
}

TEST_CASE("block_threshold: the same bytes everywhere, overflow and a further stage included") {
  for (auto const& x : {support::heavy_tailed_values(300001), std::vector<float>(300001, 1.0f)}) {
    for (auto const& c : {block_threshold{}, block_threshold{.value = 1e-4f, .block = 512, .capacity_ratio = 0.01},
                          block_threshold{.value = 1e-4f, .whole_tensor = true}})
      CHECK(support::same_everywhere(c, x));
    CHECK(support::same_everywhere(block_threshold{.block = 32} | uniform_quantize<8>{}, x));
  }
}

TEST_CASE("block_threshold: counts and bits that no encode writes are refused before anything is written") {
  block_threshold const c{.value = 1, .block = 16, .capacity_ratio = 0.2};
  std::size_t const n = 1000, last = 62;  // the last block has 8 values
  auto x = std::vector<float>(n);
  for (std::size_t b : {3u, 9u, 40u, 62u}) std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(16 * b), 8, 5.0f);
  auto const good = support::encoded(c, x);
  REQUIRE(support::decoded(c, good, n) == x);
  auto const refused = [&](std::uint32_t selected, std::uint32_t left_out, std::uint64_t flipped,
                           std::size_t size = 0) {
    auto bytes = good;
    if (size > 0) bytes.resize(size);
    std::memcpy(bytes.data(), &selected, 4);
    std::memcpy(bytes.data() + 4, &left_out, 4);
    std::uint64_t bits;
    std::memcpy(&bits, bytes.data() + 8, 8);
    bits ^= flipped;
    std::memcpy(bytes.data() + 8, &bits, 8);
    std::vector<float> out(n, -5.0f);
    support::payload_buffer payload(bytes.size());
    std::copy(bytes.begin(), bytes.end(), payload.bytes().begin());
    workspace<host_exec> ws{host_exec{1}};
    CHECK_THROWS_AS(decode(host_exec{1}, c, payload, std::span(out), ws), payload_error);
    CHECK_THROWS_AS(decode_accumulate(host_exec{1}, c, payload, std::span(out), ws), payload_error);
    CHECK(out == std::vector<float>(n, -5.0f));
  };
  auto const bit = [](std::size_t b) { return std::uint64_t{1} << b; };
  refused(5, 0, 0);
  refused(3, 0, 0);
  refused(13, 0, 0);
  refused(0xffffffffu, 0, 0);
  refused(4, 60, 0);
  refused(4, 0xffffffffu, 0);
  refused(0, 0, 0, 16);               // bits of blocks that the count denies
  refused(4, 0, bit(5));              // one more
  refused(4, 0, bit(9));              // one less
  refused(4, 0, bit(9) | bit(63));    // behind the end
  refused(4, 0, bit(last) | bit(5));  // the carrier lacks what only a last block may lack
  CHECK_THROWS_AS(static_cast<void>(block_threshold::overflow({good.data(), 7})), payload_error);
}

TEST_CASE("block_threshold: settings") {
  auto const refused = [](block_threshold const& c, char const* message) {
    CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes<float>(c, 10)), doctest::Contains(message), invalid_argument);
  };
  refused({.value = -1}, "block_threshold: value must be finite and at least 0, got -1");
  refused({.relative = support::inf}, "block_threshold: relative must be finite and at least 0, got inf");
  refused({.value = 0, .relative = 0}, "block_threshold: one of value and relative must be above 0");
  refused({.block = 100}, "block must be a power of two");
  refused({.capacity_ratio = 0}, "block_threshold: capacity_ratio must be above 0 and at most 1, got 0");
  refused({.whole_tensor = true}, "block_threshold: whole_tensor needs a value above 0");
  CHECK_THROWS_AS(static_cast<void>(block_threshold{}.side_bytes(std::size_t{1} << 32)), invalid_argument);
  CHECK(text(block_threshold{}) == "block_threshold");
  CHECK(text(block_threshold{.value = 0.5f, .whole_tensor = true}) == "block_threshold(value=0.5, whole_tensor=true)");
  CHECK(detail::granule(detail::stages_of(block_threshold{.block = 4096})) == 4096);
}
