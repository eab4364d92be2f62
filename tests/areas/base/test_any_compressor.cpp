// Chains from text that may name some stages alone.
#include <support/typed_cases.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

using few = any_compressor_of<top_k, uniform_quantize<8>, scale>;

std::vector<std::byte> compressed(any_compressor const& c) {
  host_exec const ex{};
  workspace ws{ex};
  auto const x = support::same_gaussian_values(3000, 8);
  std::vector<std::byte> frame(max_compressed_bytes<float>(c, x.size()));
  frame.resize(compress(ex, c, x, frame, ws));
  return frame;
}

}  // namespace

TEST_CASE("any_compressor_of: its stages give the bytes that all stages give") {
  for (char const* const text : {"top_k(0.1)", "scale(2) | top_k(0.1) | uniform_quantize<8>", "uniform_quantize"}) {
    CAPTURE(text);
    CHECK(few(text).text() == any_compressor(text).text());
    CHECK(compressed(few(text)) == compressed(any_compressor(text)));
  }
  CHECK(compressed(few(top_k{.ratio = 0.1} | natural{})) == compressed(any_compressor("top_k(0.1) | natural")));
}

TEST_CASE("any_compressor_of: text with another stage is refused") {
  CHECK_THROWS_WITH_AS(few("natural"),
                       doctest::Contains("no stage 'natural'; known are top_k, uniform_quantize, scale"),
                       invalid_argument);
  CHECK_THROWS_WITH_AS(few("uniform_quantize<4>"), doctest::Contains("no variant <4>; it has 8"), invalid_argument);
  CHECK_THROWS_WITH_AS(few(""), doctest::Contains("expected a stage's name"), invalid_argument);
}
