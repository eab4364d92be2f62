#include <support/block_checks.hpp>
#include <support/float_bits.hpp>
#include <support/saturation.hpp>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/sign_flip.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace ccomp;
using support::bits_of;

static_assert(transform_stage<sign_flip> && linear<sign_flip>);

TEST_CASE("sign_flip: text and sizes") {
  CHECK(text(sign_flip{.seed = 4} | cast<float16>{}) == "sign_flip(seed=4)|cast<float16>");
  CHECK(payload_bytes(sign_flip{} | cast<float16>{}, 100) == 208);
}

TEST_CASE("sign_flip: bit i of the stream flips value i, and the inverse flips it back") {
  pass_options const at{.at = 3, .tensor = 0x100000002u, .rank = 6};
  random_stream const stream{{17, 3}, at.tensor, shared_rank, 2};
  for (auto isa : support::instruction_sets())
    for (std::size_t const n : {0u, 1u, 31u, 32u, 127u, 4096u, 4100u, 9999u}) {
      auto x = support::any_finite_values(n, 1);
      if (n > 30) {
        x[3] = support::quiet_nan;
        x[4] = support::inf;
        x[5] = 0.0f;
      }
      auto y = x;
      sign_flip{.seed = 17}.forward(isa, y.data(), n, 0, at);
      auto want = bits_of(x);
      std::size_t flips = 0;
      for (std::size_t i = 0; i < n; ++i) {
        std::uint32_t const bit = (random_bits32(stream, i / 32) >> (i % 32)) & 1u;
        want[i] ^= bit << 31;
        flips += bit;
      }
      REQUIRE(bits_of(y) == want);
      if (n == 9999) CHECK(std::fabs(static_cast<double>(flips) - 5000) < 250);  // five standard deviations
      sign_flip{.seed = 17}.inverse(isa, y.data(), n, 0, at);
      REQUIRE(bits_of(y) == bits_of(x));
    }
}

TEST_CASE("sign_flip: a part of a tensor takes its own bits") {
  auto whole = support::gaussian_values(1000);
  std::vector<float> part(whole.begin() + 256, whole.end());
  sign_flip{}.forward(instruction_set::baseline, whole.data(), 1000, 0, {});
  sign_flip{}.forward(instruction_set::baseline, part.data(), 744, 256, {});
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 256));
}

TEST_CASE("sign_flip: in a chain, nothing but the cast's rounding is left") {
  auto const x = support::gaussian_values(5001);
  CHECK(support::round_trip(sign_flip{} | cast<bfloat16>{}, x) == support::round_trip(cast<bfloat16>{}, x));
  CHECK(support::same_bits_everywhere(sign_flip{} | cast<bfloat16>{}) == "");
}

TEST_CASE("sign_flip: linear; finite values stay finite") {
  static_assert(linear<sign_flip>);
  support::stays_finite(sign_flip{} | uniform_quantize<8>{});
}
