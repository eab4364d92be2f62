/// What stages claim of themselves, tried with numbers: linear, unbiased, contraction; typed chains and text agree.

#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/contraction.hpp>
#include <support/named_compressor.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/stage_list.hpp>
#include <ccomp/testing/check_stage.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace {

using namespace ccomp;
using namespace support;

template <class C, class T> void same_as_text(C const& typed, char const* text) {
  INFO("text: " << text);
  named_compressor const named(text);
  CHECK(ccomp::text(typed) == ccomp::text(named));
  CHECK(fingerprint(typed) == fingerprint(named));
  for (std::size_t const n : {0u, 1u, 33u, 1000u, 5000u}) {
    auto const x = narrowed<T>(gaussian_values(n, 61));
    pass_options const at{.at = 5, .tensor = 9, .rank = 1};
    CHECK(payload_bytes<T>(typed, n) == payload_bytes<T>(named, n));
    auto const bytes = encoded(typed, x, at);
    CHECK_MESSAGE(bytes == encoded(named, x, at), "n = " << n);
    CHECK_MESSAGE(decoded<T>(typed, bytes, n, at) == decoded<T>(named, bytes, n, at), "n = " << n);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("claims: the sum of a linear compressor's payloads decodes to the sum of what they decode to", T,
                   float, float16, bfloat16) {
  int linear_ones = 0;
  for (auto const& e : catalogue()) {
    named_compressor const c(e.text);
    if (!ccomp::detail::is_linear(c.stages())) continue;
    ++linear_ones;
    testing::detail::compressor_check check(c.stages(), e);
    check.run([&] { check.linear<T>(); });
    for (auto const& fault : check.faults()) FAIL_CHECK(fault);
  }
  CHECK(linear_ones >= 10);
}

TEST_CASE("claims: what calls itself unbiased is, over many steps") {
  for (auto const& e : catalogue()) {
    if (e.bias < 0) continue;
    named_compressor const c(e.text);
    testing::detail::compressor_check check(c.stages(), e);
    check.run([&] { check.unbiased(4000); });
    for (auto const& fault : check.faults()) FAIL_CHECK(fault);
  }
}

TEST_CASE("claims: what a stage calls linear or unbiased is what the tests hold it to") {
  int linear_ones = 0, unbiased_ones = 0;
  ccomp::detail::for_each_stage([&]<class S>(std::type_identity<S>, auto const&) {
    std::string const text = ccomp::detail::stage_type_text<S>();
    INFO(text);
    if (linear<S>) CHECK(!quantizer_stage<S>);  // codes of blocks cannot be added
    if (transform_stage<S>) CHECK(linear<S>);
    linear_ones += linear<S>;
    auto const each = std::ranges::find(catalogue(), text, &catalogue_entry::text);
    REQUIRE(each != catalogue().end());
    if constexpr (requires { S{}.is_unbiased(); }) CHECK((each->bias >= 0) == S{}.is_unbiased());
    if constexpr (requires { requires S::is_unbiased; }) CHECK(each->bias >= 0);
    unbiased_ones += each->bias >= 0;
    CHECK(fingerprint(S{}) == fingerprint(named_compressor(text)));
  });
  CHECK(linear_ones >= 7);
  CHECK(unbiased_ones >= 8);
  static_assert(linear<cast<float16>> && linear<hadamard_rotate> && linear<scale> && linear<random_k>);
  static_assert(!linear<top_k> && !linear<uniform_quantize<8>> && !linear<sign_quantize> && !linear<cast<fp8_e4m3>>);
  CHECK(random_k{.unbiased = true}.is_unbiased());
  CHECK(!random_k{}.is_unbiased());
}

TEST_CASE("claims: every stage of the list comes back from its text, and leaves out no more than it claims") {
  ccomp::detail::for_each_stage([]<class S>(std::type_identity<S>, auto const&) {
    S const s{};
    CHECK(testing::detail::text_fault(s) == "");
    auto const stages = ccomp::detail::host_stages_of(s);
    testing::detail::compressor_check check(stages, {});
    check.run(
        [&] { check.contraction([&](std::size_t n) { return testing::detail::claimed_contraction(s, n); }, 60); });
    for (auto const& fault : check.faults()) FAIL_CHECK(fault);
  });
}

TEST_CASE("claims: contraction, deterministic stages at every call and random ones on average") {
  check_contraction(top_k{.ratio = 0.03}, 1);
  check_contraction(top_k{.count = 5}, 1);
  check_contraction(sign_quantize{}, 1);
  check_contraction(sign_quantize{.block = 16, .scale = sign_scale::two_means}, 1);
  check_contraction(random_k{.ratio = 0.1}, 300);
  check_contraction(random_k{.ratio = 0.3, .unbiased = true}, 300);
  CHECK(top_k{.ratio = 0.03}.contraction(1000) == doctest::Approx(0.03));
  CHECK(random_k{.ratio = 0.1}.contraction(1000) == doctest::Approx(0.1));
  CHECK(sign_quantize{}.contraction(1 << 20) == doctest::Approx(1.0 / 1024));
}

TEST_CASE("claims: feedback refuses a stage that is not a contraction") {
  CHECK_THROWS_AS(error_feedback(random_k{.ratio = 0.1, .unbiased = true}, 1000), invalid_argument);
  // 1-bit Adam's scale: one large value among small ones comes back with twice its squared norm as error.
  CHECK_THROWS_AS(error_feedback(sign_quantize{.scale = sign_scale::l2}, 1000), invalid_argument);
  CHECK_THROWS_AS(error_feedback(uniform_quantize<2>{.range = code_range::min_max}, 1000), invalid_argument);
  CHECK_NOTHROW(error_feedback(random_k{.ratio = 0.1}, 1000));
}

TEST_CASE_TEMPLATE("claims: a typed chain and its text are the same compressor", T, float, float16, bfloat16) {
  auto check = [](auto const& typed, char const* text) {
    same_as_text<std::remove_cvref_t<decltype(typed)>, T>(typed, text);
  };
  check(uniform_quantize<8>{}, "uniform_quantize<8>");
  check(uniform_quantize<4>{.round = rounding::stochastic, .seed = 11},
        "uniform_quantize<4>(round=stochastic, seed=11)");
  check(top_k{.ratio = 0.05} | uniform_quantize<8>{.block = 64}, "top_k(ratio=0.05)|uniform_quantize<8>(block=64)");
  check(hadamard_rotate{.block = 64, .seed = 42} | uniform_quantize<4>{.round = rounding::stochastic},
        "hadamard_rotate(block=64, seed=42)|uniform_quantize<4>(round=stochastic)");
  check(random_k{.ratio = 0.2} | cast<bfloat16>{}, "random_k(ratio=0.2)|cast<bfloat16>");
  check(hadamard_rotate{} | scale{.factor = 0.5f} | cast<fp8_e4m3>{},
        "hadamard_rotate|scale(factor=0.5)|cast<fp8_e4m3>");
}
