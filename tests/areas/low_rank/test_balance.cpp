#include <support/codec.hpp>
#include <support/matrices.hpp>
#include <support/trained.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/balance.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace ccomp;
using support::squared_error;
using support::squared_norm;

namespace {

/// A matrix of rank 4, or tensor of small ranks, and a tenth of it without structure, times `size`.
std::vector<float> structured(std::size_t rows, std::size_t cols, double size) {
  auto m = support::product_matrix(rows, cols, 4, size);
  auto const rest = support::gaussian_values(rows * cols, 9, 0.1 * size);
  for (std::size_t i = 0; i < m.size(); ++i) m[i] += rest[i];
  return m;
}

}  // namespace

TEST_CASE("balance: powers of two whose product is 1, and largest values alike") {
  auto const check = [](std::vector<float> const& largest) {
    std::vector<std::vector<float>> values;
    std::vector<detail::factor_part> parts;
    double before = 1, after = 1, smallest = 1e300, most = 0;
    for (float const x : largest) values.push_back({x / 4, -x, x / 3});
    for (auto& each : values) parts.push_back({each.data(), each.size()});
    detail::balance(instruction_set::baseline, parts);
    for (std::size_t i = 0; i < largest.size(); ++i) {
      double const size = std::abs(double{values[i][1]});
      int exponent = 0;
      CHECK(std::frexp(size / double{largest[i]}, &exponent) == 0.5);
      CHECK(values[i][0] == -values[i][1] / 4);
      before *= double{largest[i]};
      after *= size;
      smallest = std::min(smallest, size);
      most = std::max(most, size);
    }
    CHECK(after == doctest::Approx(before).epsilon(1e-12));
    CHECK(most < 4 * smallest);
  };
  check({1, 1});
  check({1, 1e6f});
  check({1e-30f, 3});
  check({1e30f, 3});
  check({1, 1, 1, 77});
  check({1e-20f, 0.3f, 1, 0.7f, 1e-10f, 1, 1, 1});
  check({0.1f, 0.1f, 1e-36f});
  std::vector<float> zero(3), some{1, 2, 3};
  detail::factor_part const parts[] = {{zero.data(), 3}, {some.data(), 3}};
  detail::balance(instruction_set::baseline, parts);
  CHECK(some == std::vector<float>{1, 2, 3});
}

TEST_CASE("balance: a quantizer behind factors has the same error whatever the size of the tensor") {
  for (std::string const text :
       {"svd(4, rows=64)|uniform_quantize<8>", "randomized_svd(4, rows=64)|uniform_quantize<8>",
        "power_sgd(4, rows=64)|uniform_quantize<8>", "als(4, rows=64)|uniform_quantize<8>",
        "tucker(shape=16x4x64, ranks=8x4x8)|uniform_quantize<8>", "svd(4, rows=64)|cast<fp8_e4m3>",
        "tensor_train(shape=64x8x8, ranks=8x8)|uniform_quantize<8>"}) {
    CAPTURE(text);
    any_compressor const c(text);
    auto const error = [&](double size) {
      auto const m = structured(64, 64, size);
      return squared_error(m, support::round_trip(c, m)) / squared_norm(m);
    };
    double const at_1 = error(1);
    CHECK(at_1 < 0.2);
    for (double const size : {1e-30, 1e-6, 0.01, 100.0, 1e9, 1e30}) {
      CAPTURE(size);
      CHECK(error(size) < 1.5 * at_1);
    }
  }
}

TEST_CASE("balance: with feedback, quantized factors converge as 1/T") {
  for (std::string const text :
       {"svd(4, rows=32)|uniform_quantize<8>", "randomized_svd(4, rows=32)|uniform_quantize<4>",
        "tensor_train(shape=8x8x16, ranks=6x6)|uniform_quantize<8>", "als(4, rows=32)|cast<fp8_e4m3>",
        "svd(4, rows=32)|cast<bfloat16>"}) {
    CAPTURE(text);
    auto m = support::gaussian_values(1024, 2, 1e-5);
    any_compressor const c(text);
    support::trained<any_compressor> all(c, 1, m.size());
    std::vector<double> sum(m.size());
    auto const error_after = [&](std::uint64_t from, std::uint64_t to) {
      for (std::uint64_t t = from; t < to; ++t) {
        auto const out = all.step(support::per_rank<float>{m}, t);
        for (std::size_t i = 0; i < m.size(); ++i) sum[i] += double{out[0][i]};
      }
      double error = 0;
      for (std::size_t i = 0; i < m.size(); ++i) error += std::pow(sum[i] / static_cast<double>(to) - double{m[i]}, 2);
      return std::sqrt(error / squared_norm(m));
    };
    double const early = error_after(0, 48), later = error_after(48, 192);
    CHECK(early < 0.15);
    CHECK(later < 0.3 * early);  // a quarter
  }
}

TEST_CASE("balance: feedback refuses what is too coarse for factors and gains") {
  auto const refusal = [](std::string const& text) {
    return support::refusal([&] { error_feedback<any_compressor>(any_compressor(text), 4096); });
  };
  CHECK(refusal("svd(4, rows=64)|uniform_quantize<2>") ==
        "error_feedback: what svd(rows=64) sends is multiplied, and uniform_quantize<2> behind it may be too "
        "coarse "
        "for the product to be a contraction; use a cast or a quantizer of at least 4 bits there, or no feedback");
  for (std::string const text : {"svd(4)|sign_quantize", "power_sgd(4)|top_k(0.5)", "als(4)|e8_lattice",
                                 "e8_lattice|sign_quantize", "vector_quantize<4x8>|uniform_quantize<3>",
                                 "tucker(shape=64x64, ranks=4x4)|hadamard_rotate(block=64)|uniform_quantize<2>"})
    CHECK(refusal(text).find("may be too coarse") != std::string::npos);
  for (std::string const text :
       {"svd(4)|uniform_quantize<4>", "top_k(0.1)|e8_lattice|cast<bfloat16>",
        "svd(4)|hadamard_rotate(block=64)|uniform_quantize<8>", "top_k(0.1)|uniform_quantize<2>"})
    CHECK(refusal(text) == "");
}

TEST_CASE("factors whose product could overflow decode to one kind of NaN") {
  std::size_t const n = 40 * 60;
  auto const check = [&](auto const& c, float p_value, float q_value, bool good) {
    std::size_t const p_size = 40 * 2;
    support::payload_buffer payload(payload_bytes<float>(c, n));
    std::vector<float> carrier(payload.bytes().size() / sizeof(float));
    for (std::size_t i = 0; i < carrier.size(); ++i)
      carrier[i] = (i < p_size ? p_value : q_value) * (i % 3 == 0 ? -1.0f : 1.0f);
    std::memcpy(payload.bytes().data(), carrier.data(), carrier.size() * sizeof(float));
    std::vector<float> out(n), onto(n, 1.0f);
    workspace<host_exec> ws{host_exec{1}};
    decode(host_exec{1}, c, payload, std::span(out), ws);
    decode_accumulate(host_exec{1}, c, payload, std::span(onto), ws);
    for (auto const* each : {&out, &onto})
      for (float const v : *each)
        if (good)
          REQUIRE(std::isfinite(v));
        else
          REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  };
  svd const exact{.rank = 2, .rows = 40};
  power_sgd const iterated{.rank = 2, .rows = 40};
  for (auto const& sizes :
       {std::pair{3e38f, 3e38f}, {1e20f, 1e20f}, {support::inf, 1.0f}, {1.0f, support::quiet_nan}}) {
    check(exact, sizes.first, sizes.second, false);
    check(iterated, sizes.first, sizes.second, false);
  }
  check(exact, 1e18f, 1e18f, true);
  check(iterated, 1.0f, 1e33f, true);
}
