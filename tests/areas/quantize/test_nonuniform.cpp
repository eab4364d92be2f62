#include <support/block_checks.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <ccomp/engine/host/statistic.hpp>
#include <ccomp/quantize/nonuniform.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

using namespace ccomp;
using support::round_trip;

static_assert(quantizer_stage<nonuniform<4>> && !linear<nonuniform<4>>);

namespace {

template <int Bits> double gaussian_error(nonuniform<Bits> const& c) {
  auto const x = support::gaussian_values(std::size_t{1} << 19, 61);
  auto const y = round_trip(c, x);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const rest = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    error += rest * rest;
    size += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return error / size;
}

/// The levels that NF4's authors give, and where their kernels decide between them.
constexpr double nf4[] = {-1,
                          -.6961928009986877,
                          -.5250730514526367,
                          -.39491748809814453,
                          -.28444138169288635,
                          -.18477343022823334,
                          -.09105003625154495,
                          0,
                          .07958029955625534,
                          .16093020141124725,
                          .24611230194568634,
                          .33791524171829224,
                          .44070982933044434,
                          .5626170039176941,
                          .7229568362236023,
                          1};
constexpr double nf4_bounds[] = {-.8480964004993439,  -.6106329262256622,  -.4599952697753906,   -.33967943489551544,
                                 -.23460740596055984, -.13791173323988914, -.045525018125772476, .03979014977812767,
                                 .1202552504837513,   .2035212516784668,   .2920137718319893,    .3893125355243683,
                                 .5016634166240692,   .6427869200706482,   .8614784181118011};

/// What the pieces for GPUs, which select among constants, make of each value; the host codes batches and looks levels up.
template <int Bits> void check_host_pieces(nonuniform<Bits> const& c) {
  for (std::size_t const n : {1u, 15u, 16u, 31u, 32u, 33u, 127u, 128u, 129u, 160u, 1000u, 5001u}) {
    auto const x = support::gaussian_values(n, 7 * n + Bits);
    auto const y = round_trip(c, x);
    std::size_t differing = 0;
    c.specialise([&]<class Pieces>(Pieces const& pieces) {
      for (std::size_t at = 0; at < n; at += c.block) {
        std::size_t const m = std::min<std::size_t>(c.block, n - at);
        auto const p = pieces.fit(ccomp::detail::scan<typename Pieces::statistic>(x.data() + at, m), m);
        for (std::size_t i = at; i < at + m; ++i) differing += y[i] != pieces.value(pieces.code(x[i], p, 0), p);
      }
    });
    CAPTURE(n);
    CAPTURE(text(c));
    CHECK(differing == 0);
  }
}

}  // namespace

TEST_CASE("nonuniform: text, sizes and settings") {
  CHECK(text(nonuniform<4>{}) == "nonuniform<4>");
  CHECK(text(nonuniform<2>{.levels_of = codebook::of_rms, .levels = {-1.5f, -0.25f, 0, 2}}) ==
        "nonuniform<2>(codebook=of_rms, levels=-1.5/-0.25/0/2)");
  CHECK(payload_bytes(nonuniform<3>{.block = 128}, 5000) == 160 + 1888);
  CHECK(fingerprint(nonuniform<1>{.levels_of = codebook::of_rms, .levels = {-1, 1}}) !=
        fingerprint(nonuniform<1>{.levels_of = codebook::of_rms, .levels = {-1, 2}}));
  CHECK_THROWS_AS(static_cast<void>(payload_bytes(nonuniform<3>{.levels_of = codebook::nf4}, 10)), invalid_argument);
  for (auto const& bad :
       {std::array<float, 4>{}, std::array<float, 4>{0, 1, 1, 2}, std::array<float, 4>{3, 2, 1, 0},
        std::array<float, 4>{0, 1, 2, support::inf}, std::array<float, 4>{support::quiet_nan, 1, 2, 3}})
    CHECK_THROWS_AS(
        static_cast<void>(payload_bytes(nonuniform<2>{.levels_of = codebook::of_largest, .levels = bad}, 10)),
        invalid_argument);
}

TEST_CASE("nonuniform: the error on Gaussian values is Lloyd's and Max's") {
  // D of the best codebook of so many levels, as tables have it; a block's own root mean square varies by 1 / sqrt(2 n).
  CHECK(gaussian_error(nonuniform<1>{.block = 4096}) == doctest::Approx(.36338).epsilon(0.01));
  CHECK(gaussian_error(nonuniform<2>{.block = 4096}) == doctest::Approx(.11748).epsilon(0.01));
  CHECK(gaussian_error(nonuniform<3>{.block = 4096}) == doctest::Approx(.034548).epsilon(0.01));
  CHECK(gaussian_error(nonuniform<4>{.block = 4096}) == doctest::Approx(.0095010).epsilon(0.015));
  CHECK(gaussian_error(nonuniform<5>{.block = 4096}) == doctest::Approx(.0025047).epsilon(0.02));
  // nf4 is made for equal counts, and its scale is the largest of a block: in long blocks it spends levels on nothing.
  CHECK(gaussian_error(nonuniform<4>{.block = 4096, .levels_of = codebook::nf4}) > 0.012);
}

TEST_CASE("nonuniform: the levels and bounds of nf4 are its authors'") {
  nonuniform<4> const c{.block = 16, .levels_of = codebook::nf4};
  std::vector<float> x(16);
  x[15] = 1;  // the scale
  auto const code = [&](double value) {
    x[0] = static_cast<float>(value);
    auto const y = round_trip(c, x);
    return static_cast<double>(y[0]);
  };
  for (double const level : nf4) CHECK(code(level) == static_cast<double>(static_cast<float>(level)));
  for (std::size_t i = 0; i < 15; ++i) {
    CHECK(code(nf4_bounds[i] - 1e-6) == doctest::Approx(nf4[i]));
    CHECK(code(nf4_bounds[i] + 1e-6) == doctest::Approx(nf4[i + 1]));
  }
}

TEST_CASE("nonuniform: by hand") {
  nonuniform<2> const c{.block = 16, .levels_of = codebook::of_largest, .levels = {-1, -0.25f, 0, 1}};
  std::vector<float> x(16, 0.0f);
  x[0] = 8;
  x[1] = -8;
  x[2] = 4;      // half way between 0 and 8: the lower one
  x[3] = 4.01f;  // 8
  x[4] = -1;     // half way between -2 and 0
  x[5] = -5.1f;  // -8
  auto const y = round_trip(c, x);
  CHECK(std::vector<float>(y.begin(), y.begin() + 7) == std::vector<float>{8, -8, 0, 8, -2, -8, 0});
  CHECK(round_trip(nonuniform<3>{}, std::vector<float>(100, 0x1p-130f)) == std::vector<float>(100, 0.0f));
  CHECK(support::finite_blocks_stay_finite(nonuniform<5>{}) == "");
}

TEST_CASE("nonuniform: what it promises error feedback holds for the hardest blocks") {
  for (std::uint32_t const block : {16u, 64u, 512u, 4096u}) {
    nonuniform<2> const two{.block = block};
    nonuniform<3> const three{.block = block};
    auto const worst = [&](auto const& c) {
      double most = 0;
      for (std::uint32_t large = 0; large <= block; large = large < 4 ? large + 1 : 2 * large) {
        std::vector<float> x(block, 1e-9f);
        std::fill_n(x.begin(), large, 1.0f);
        auto const y = round_trip(c, x);
        double error = 0, size = 0;
        for (std::size_t i = 0; i < block; ++i) {
          error += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
          size += std::pow(static_cast<double>(x[i]), 2);
        }
        most = std::max(most, error / size);
      }
      return most;
    };
    CHECK(two.contracts() == (worst(two) < 1));
    CHECK(three.contracts());
    CHECK(worst(three) < 1);
  }
  CHECK_FALSE(nonuniform<1>{}.contracts());
  CHECK(nonuniform<4>{.levels_of = codebook::nf4}.contracts());
  CHECK(nonuniform<2>{.levels_of = codebook::of_rms, .levels = {-1, 0, 1, 2}}.contracts());
  CHECK_FALSE(nonuniform<2>{.levels_of = codebook::of_rms, .levels = {-1, -0.5f, 1, 2}}.contracts());
}

TEST_CASE("nonuniform: blocks") {
  CHECK(support::non_finite_stays_in_its_block(nonuniform<4>{.block = 64}, 64) == "");
  CHECK(support::same_bits_everywhere(nonuniform<4>{}) == "");
  CHECK(support::same_bits_everywhere(nonuniform<5>{.block = 1024}) == "");
}

TEST_CASE("nonuniform: the host's batches and look-ups are what the pieces say of each value") {
  for (std::uint32_t const block : {16u, 64u, 4096u}) {
    check_host_pieces(nonuniform<1>{.block = block});
    check_host_pieces(nonuniform<2>{.block = block, .levels_of = codebook::of_largest, .levels = {-1, -.25f, 0, 1}});
    check_host_pieces(nonuniform<2>{.block = block});
    check_host_pieces(nonuniform<3>{.block = block});
    check_host_pieces(nonuniform<4>{.block = block, .levels_of = codebook::nf4});
    check_host_pieces(nonuniform<4>{.block = block});
    check_host_pieces(nonuniform<5>{.block = block});
  }
}
