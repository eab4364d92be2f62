/// What stages claim of themselves, tried with numbers: linear, unbiased, contraction; typed chains and text agree.

#include <doctest/doctest.h>

#include <algorithm>
#include <ccomp/error_feedback.hpp>
#include <ccomp/passes.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>
#include <cmath>
#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/named_compressor.hpp>
#include <support/typed_cases.hpp>

namespace {

using namespace ccomp;
using namespace support;

/// The sum of payloads, added as a communicator would: element by element, 16-bit types in float.
std::vector<std::byte> sum_of(std::vector<std::byte> const& a, std::vector<std::byte> const& b, element_type type) {
  std::vector<std::byte> sum(a.size());
  auto add_as = [&]<class T>(T) {
    for (std::size_t i = 0; i < a.size() / sizeof(T); ++i) {
      T x, y;
      std::memcpy(&x, a.data() + i * sizeof(T), sizeof x);
      std::memcpy(&y, b.data() + i * sizeof(T), sizeof y);
      T const s(static_cast<float>(x) + static_cast<float>(y));
      std::memcpy(sum.data() + i * sizeof(T), &s, sizeof s);
    }
  };
  if (type == element_type::float32) add_as(float{});
  if (type == element_type::float16) add_as(float16{});
  if (type == element_type::bfloat16) add_as(bfloat16{});
  return sum;
}

double squares(std::vector<float> const& x) {
  double s = 0;
  for (float const v : x) s += static_cast<double>(v) * static_cast<double>(v);
  return s;
}
double squared_error(std::vector<float> const& x, std::vector<float> const& y) {
  double s = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    s += d * d;
  }
  return s;
}

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

/// The average over steps of |x - Q(x)|^2 / |x|^2 stays below 1 - contraction, for any distribution of values.
template <class S> void check_contraction(S const& s, int steps) {
  for (std::size_t const n : {1u, 2u, 17u, 100u, 1000u, 5000u}) {
    for (auto const& x : {gaussian_values(n, 71), heavy_tailed_values(n, 72), std::vector<float>(n, 0.3f)}) {
      double sum = 0, sum_squares = 0;
      for (int t = 0; t < steps; ++t) {
        double const e = squared_error(x, round_trip(s, x, {.at = t})) / squares(x);
        sum += e;
        sum_squares += e * e;
      }
      double const mean = sum / steps;
      double const deviation = std::sqrt(std::max(0.0, sum_squares / steps - mean * mean) / steps);
      CHECK_MESSAGE(mean <= 1 - s.contraction(n) + 5 * deviation + 1e-6,
                    text(s) << ", n = " << n << ", error " << mean << ", claimed " << 1 - s.contraction(n));
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("claims: the sum of a linear compressor's payloads decodes to the sum of what they decode to", T,
                   float, float16, bfloat16) {
  std::size_t const n = 3000;
  int linear_ones = 0;
  for (auto const& e : catalogue()) {
    named_compressor const c(e.text);
    if (!ccomp::detail::is_linear(c.stages())) continue;
    ++linear_ones;
    INFO(e.text << ", " << element_name(element_type_of<T>));
    auto const x = narrowed<T>(gaussian_values(n, 81)), y = narrowed<T>(gaussian_values(n, 82));
    // Another rank must make a carrier that can be added: signs and places do not depend on the rank.
    auto const a = encoded(c, x, {.at = 3, .rank = 0}), b = encoded(c, y, {.at = 3, .rank = 1});
    auto const carrier = ccomp::detail::carrier_of(c.stages(), n, element_type_of<T>);
    REQUIRE(a.size() >= carrier.n * element_bytes(carrier.type));
    auto const sum = decoded<T>(c, sum_of(a, b, carrier.type), n, {.at = 3, .rank = 9});
    auto const da = decoded<T>(c, a, n, {.at = 3, .rank = 4}), db = decoded<T>(c, b, n, {.at = 3, .rank = 5});
    // Roundings: of the carriers, of their sum and of the output, relative to values that rotation mixed.
    double const unit = carrier.type == element_type::bfloat16 || std::same_as<T, bfloat16> ? 0x1p-8
                        : carrier.type == element_type::float16 || std::same_as<T, float16> ? 0x1p-11
                                                                                            : 0x1p-23;
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      double const u = static_cast<double>(static_cast<float>(da[i])),
                   v = static_cast<double>(static_cast<float>(db[i]));
      worst = std::max(worst, std::abs(static_cast<double>(static_cast<float>(sum[i])) - (u + v)));
      largest = std::max({largest, std::abs(u), std::abs(v)});
    }
    CHECK(largest > 0);
    CHECK_MESSAGE(worst <= 6 * unit * largest, "worst " << worst << " of " << largest);
  }
  CHECK(linear_ones >= 10);
}

TEST_CASE("claims: what calls itself unbiased is, over many steps") {
  std::size_t const n = 160;
  int const steps = 4000;
  for (auto const& e : catalogue()) {
    if (e.bias < 0) continue;
    INFO(e.text);
    named_compressor const c(e.text);
    auto const x = gaussian_values(n, 91);
    std::vector<double> sum(n), squared(n);
    double signed_sum = 0, signed_squares = 0, total = 0, top = 0, largest = 0;
    for (float const v : x) {
      total += std::abs(static_cast<double>(v));
      top = std::max(top, std::abs(static_cast<double>(v)));
    }
    for (int t = 0; t < steps; ++t) {
      auto const q = round_trip(c, x, {.at = t});
      double signed_error = 0;
      for (std::size_t i = 0; i < n; ++i) {
        auto const d = static_cast<double>(q[i]);
        sum[i] += d;
        squared[i] += d * d;
        largest = std::max(largest, std::abs(d));
        signed_error += (x[i] < 0 ? -1.0 : 1.0) * (d - static_cast<double>(x[i]));
      }
      signed_sum += signed_error;
      signed_squares += signed_error * signed_error;
    }
    // Six standard errors; a value too rarely kept to be seen has the variance that its size allows.
    for (std::size_t i = 0; i < n; ++i) {
      double const mean = sum[i] / steps, size = std::abs(static_cast<double>(x[i]));
      double const variance = std::max(squared[i] / steps - mean * mean, std::min(size, largest - size) * size * 0.5);
      CHECK_MESSAGE(std::abs(mean - static_cast<double>(x[i])) <= 6 * std::sqrt(variance / steps) + e.bias * top,
                    "value " << i << " = " << x[i] << ", mean " << mean);
    }
    // All values together see a bias that single ones hide.
    double const mean = signed_sum / steps;
    double const error = std::sqrt(std::max(0.0, signed_squares / steps - mean * mean) / steps);
    CHECK_MESSAGE(std::abs(mean) <= 5 * error + e.bias * top * static_cast<double>(n) + 1e-6 * total,
                  "together off by " << mean << ", standard error " << error);
  }
}

TEST_CASE("claims: the types say what the catalogue holds them to") {
  static_assert(qsgd<4>::is_unbiased && natural::is_unbiased);
  CHECK(ternary{.clip = 0}.is_unbiased());
  CHECK(!ternary{}.is_unbiased());
  CHECK(random_k{.unbiased = true}.is_unbiased());
  CHECK(!random_k{}.is_unbiased());
  CHECK(random_block{.unbiased = true}.is_unbiased());
  CHECK(!random_block{}.is_unbiased());
  static_assert(linear<cast<float16>> && linear<cast<bfloat16>> && !linear<cast<fp8_e4m3>>);
  static_assert(linear<hadamard_rotate> && linear<sign_flip> && linear<scale> && linear<random_k> &&
                linear<random_block>);
  static_assert(!linear<top_k> && !linear<threshold> && !linear<uniform_quantize<8>> && !linear<qsgd<4>> &&
                !linear<sign_quantize> && !linear<ternary> && !linear<natural>);
}

TEST_CASE("claims: contraction, deterministic stages at every call and random ones on average") {
  check_contraction(top_k{.ratio = 0.03}, 1);
  check_contraction(top_k{.count = 5}, 1);
  check_contraction(threshold{}, 1);
  check_contraction(threshold{.relative = 0.5f, .capacity_ratio = 0.5}, 1);
  check_contraction(sign_quantize{}, 1);
  check_contraction(sign_quantize{.block = 16, .scale = sign_scale::two_means}, 1);
  check_contraction(random_k{.ratio = 0.1}, 300);
  check_contraction(random_k{.ratio = 0.3, .unbiased = true}, 300);
  check_contraction(random_block{.ratio = 0.1}, 300);
  check_contraction(random_block{.ratio = 0.1, .blocks = 3}, 300);
  CHECK(top_k{.ratio = 0.03}.contraction(1000) == doctest::Approx(0.03));
  CHECK(random_k{.ratio = 0.1}.contraction(1000) == doctest::Approx(0.1));
  CHECK(sign_quantize{}.contraction(1 << 20) == doctest::Approx(1.0 / 1024));
}

TEST_CASE("claims: feedback refuses what is no contraction") {
  CHECK_THROWS_AS(error_feedback(random_k{.ratio = 0.1, .unbiased = true}, 1000), invalid_argument);
  CHECK_THROWS_AS(error_feedback(random_block{.ratio = 0.1, .unbiased = true}, 1000), invalid_argument);
  CHECK_THROWS_AS(error_feedback(top_k{} | qsgd<2>{.norm = level_norm::l2}, 1000), invalid_argument);
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
  check(hadamard_rotate{.block = 64, .seed = 42} | qsgd<4>{}, "hadamard_rotate(block=64, seed=42)|qsgd<4>");
  check(random_k{.ratio = 0.2} | cast<bfloat16>{}, "random_k(ratio=0.2)|cast<bfloat16>");
  check(sign_flip{} | scale{.factor = 0.5f} | cast<fp8_e4m3>{}, "sign_flip|scale(factor=0.5)|cast<fp8_e4m3>");
}
