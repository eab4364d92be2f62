#include <support/codec.hpp>
#include <support/generators.hpp>
#include <support/sparse_cases.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/block_top_k.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

using namespace ccomp;

namespace {

static_assert(check_stage<block_top_k>() && vector_stage<block_top_k> && !linear<block_top_k>);

std::vector<std::uint32_t> naive_block_top_k(std::vector<float> const& x, std::size_t count, std::size_t block) {
  std::vector<std::uint32_t> index;
  for (std::size_t first = 0; first < x.size(); first += block) {
    std::size_t const size = std::min(block, x.size() - first);
    for (auto const i : support::naive_top_k(std::span(x).subspan(first, size), std::min(count, size)))
      index.push_back(static_cast<std::uint32_t>(first) + i);
  }
  return index;
}

}  // namespace

TEST_CASE("block_top_k: the largest of each block, against sorting, on every instruction set") {
  for (block_top_k const& c :
       {block_top_k{64, 4096}, {1, 16}, {16, 16}, {3, 64}, {100, 256}, {4096, 4096}, {600, 4096}})
    for (std::size_t n : {1u, 15u, 4096u, 4097u, 12300u})
      for (auto const& values : support::selection_cases(n)) {
        CAPTURE(values.name);
        CAPTURE(n);
        CAPTURE(c.count);
        CAPTURE(c.block);
        auto const bytes = support::encoded(c, values.values);
        CHECK(bytes.size() == payload_bytes<float>(c, n));
        auto const back = support::decoded(c, bytes, n);
        std::vector<float> expected(n);
        for (auto const i : naive_block_top_k(values.values, c.count, c.block))
          expected[i] = std::isnan(values.values[i]) ? detail::canonical_nan() : values.values[i];
        CHECK(support::bits_of(back) == support::bits_of(expected));
        for (auto const isa : support::instruction_sets())
          CHECK(support::encoded(c, values.values, {}, {1, isa}) == bytes);
      }
  CHECK(support::same_everywhere(block_top_k{}, support::heavy_tailed_values(1 << 18)));
}

TEST_CASE("block_top_k: 64 of 4096 with two bits each take 896 bits per block") {
  // (2 + 12) 64 / 4096 = .21875 bits per value, as SparseLoCo counts them (arXiv 2508.15706); one scale of 4 bytes per 64
  // values selected comes on top.
  std::size_t const n = 1 << 20, blocks = n / 4096;
  block_top_k const c;
  CHECK(8 * c.side_bytes(n) == 64 * 12 * blocks);
  std::size_t const whole = payload_bytes<float>(c | uniform_quantize<2>{.block = 64}, n);
  CHECK(8 * (whole - 4 * blocks) == 896 * blocks);
  CHECK(static_cast<double>(8 * (whole - 4 * blocks)) / static_cast<double>(n) == .21875);
}

TEST_CASE("block_top_k: chunks for several ranks hold whole blocks") {
  block_top_k const c;
  CHECK(detail::granule(detail::stages_of(c)) == 4096);
  CHECK(detail::granule(detail::stages_of(block_top_k{4, 16})) == detail::random_group);
}

TEST_CASE("block_top_k: forged places are refused, and nothing is written") {
  block_top_k const c{4, 64};
  std::size_t const n = 64 + 10;  // the last block has places for 10 values, numbered in 6 bits
  auto const good = support::encoded(c, support::gaussian_values(n));
  auto const refused = [&](std::size_t entry, unsigned place) {
    auto bytes = good;
    for (unsigned bit = 0; bit < 6; ++bit) {
      std::size_t const at = 6 * entry + bit;
      auto const mask = static_cast<std::byte>(1u << at % 8);
      bytes[at / 8] = (bytes[at / 8] & ~mask) | ((place >> bit & 1u) != 0 ? mask : std::byte{0});
    }
    std::vector<float> out(n, 7.0f);
    workspace<host_exec> ws;
    CHECK_THROWS_AS(decode({}, c, bytes, std::span(out), ws), payload_error);
    CHECK_THROWS_AS(decode_accumulate({}, c, bytes, std::span(out), ws), payload_error);
    CHECK(out == std::vector<float>(n, 7.0f));
  };
  refused(0, 63);  // above the next one
  refused(3, 0);   // below the one before
  refused(7, 10);  // behind the end
  refused(7, 63);
}

TEST_CASE("block_top_k: settings out of range") {
  for (auto const& c :
       {block_top_k{0, 64}, block_top_k{65, 64}, block_top_k{1, 8}, block_top_k{1, 100}, block_top_k{1, 8192}})
    CHECK_THROWS_AS(static_cast<void>(payload_bytes<float>(c, 10)), invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(block_top_k{}.carrier_size(std::size_t{1} << 32)), invalid_argument);
  CHECK(text(block_top_k{}) == "block_top_k");
  CHECK(text(block_top_k{3, 64}) == "block_top_k(count=3, block=64)");
}

TEST_CASE("block_top_k: the error is what the contraction allows") {
  auto const x = support::heavy_tailed_values(10000);
  block_top_k const c{16, 256};
  auto const back = support::round_trip(c, x);
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += std::pow(double{x[i]} - double{back[i]}, 2);
    norm += std::pow(double{x[i]}, 2);
  }
  CHECK(c.contraction(10000) == 16.0 / 256);
  CHECK(error <= (1 - c.contraction(10000)) * norm);
}
