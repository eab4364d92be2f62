#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/trained.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace ccomp;
using support::how;
using support::inf;
using support::per_rank;
using support::quiet_nan;
using support::reduce;
using support::trained;

namespace {

std::size_t wire(std::size_t bytes, std::size_t ranks) { return 2 * (ranks - 1) * bytes / ranks; }

template <int Bits> void check_error(how strategy, rounding round) {
  CAPTURE(Bits);
  shared_scale_quantize<Bits> const c{.block = 64, .round = round};
  constexpr float levels = static_cast<float>((1 << (Bits - 1)) - 1);
  for (int ranks : {1, 2, 3, 4, 7})
    for (std::size_t n : {0u, 1u, 2u, 31u, 64u, 65u, 1021u, 9973u}) {
      CAPTURE(ranks);
      CAPTURE(n);
      auto const in = support::gradients(ranks, n, Bits);
      auto const [out, reports] = reduce(c, in, {.op = reduction::sum, .at = 3}, strategy);
      CHECK(support::all_same(out));
      auto const want = support::exact_sum(in);
      float worst = 0;  // of error / allowed error
      for (std::size_t i = 0; i < n; ++i) {
        float top = 0;
        for (auto const& row : in)
          for (std::size_t j = i / 64 * 64; j < std::min(n, i / 64 * 64 + 64); ++j)
            top = std::max(top, std::abs(row[j]));
        float const scale = top / levels * (1 + 0x1p-15f);
        float const each = round == rounding::nearest ? scale / 2 : scale;
        auto const error = static_cast<float>(std::abs(static_cast<double>(out[0][i]) - want[i]));
        worst = std::max(worst, error / (static_cast<float>(ranks) * (each + top * 0x1p-20f) + 1e-30f));
      }
      CHECK(worst <= 1);
    }
}

}  // namespace

TEST_CASE("the sum is off by at most half a scale a rank") {
  support::watchdog const guard("shared_scale sums");
  for (how strategy : {how::automatic, how::gather}) {
    CAPTURE(support::name_of(strategy));
    check_error<2>(strategy, rounding::nearest);
    check_error<4>(strategy, rounding::nearest);
    check_error<8>(strategy, rounding::nearest);
    check_error<5>(strategy, rounding::stochastic);
  }
}

TEST_CASE("two_shot codes like uniform_quantize") {
  auto const in = support::gradients(3, 5003);
  for (rounding round : {rounding::nearest, rounding::stochastic}) {
    shared_scale_quantize<4> const shared{.round = round, .seed = 5};
    uniform_quantize<4> const uniform{.round = round, .seed = 5};
    CHECK(support::encoded(shared, in[0], {.at = 9}) == support::encoded(uniform, in[0], {.at = 9}));
    for (how strategy : {how::gather, how::two_shot}) {
      auto const a = reduce(shared, in, {.at = 4}, strategy), b = reduce(uniform, in, {.at = 4}, strategy);
      CHECK(support::same_bits(a.out[2], b.out[2]));
    }
  }
}

TEST_CASE("all ranks code with the largest scale, and integer sums are exact") {
  // Scales of their own would be 3/7 on the ranks without a 7, and nothing would be exact.
  for (int ranks : {2, 3, 4, 7}) {
    auto in = support::gradients(ranks, 777);
    for (std::size_t r = 0; r < in.size(); ++r)
      for (std::size_t i = 0; i < in[r].size(); ++i)
        in[r][i] = r == 0 && i % 16 == 0 ? 7.0f : static_cast<float>(static_cast<int>((i * 7 + r * 3) % 7) - 3);
    auto const result = reduce(shared_scale_quantize<4>{.block = 16}, in);
    auto const want = support::exact_sum(in);
    for (std::size_t i = 0; i < want.size(); ++i) REQUIRE(static_cast<double>(result.out[1][i]) == want[i]);
    CHECK(result.reports[0].strategy == "rounds");
    auto const mean = reduce(shared_scale_quantize<4>{.block = 16}, in, {.op = reduction::mean});
    for (std::size_t i = 0; i < want.size(); ++i)
      REQUIRE(mean.out[0][i] == static_cast<float>(want[i]) / static_cast<float>(ranks));
  }
}

TEST_CASE("sums of the largest codes do not overflow, in the smallest integer that can hold them") {
  auto check = [](auto const& c, int ranks, std::size_t width) {
    std::size_t const n = 1000, blocks = 2;
    auto const w = static_cast<std::size_t>(ranks);
    for (float sign : {1.0f, -1.0f}) {
      auto const result = reduce(c, per_rank<float>(w, std::vector<float>(n, sign * 127.0f)));
      CHECK(support::all_same(result.out));
      for (float v : result.out[0])
        REQUIRE(v == doctest::Approx(sign * 127.0f * static_cast<float>(ranks)).epsilon(1e-4));
      CHECK(result.reports[0].bytes_sent == wire(4 * blocks, w) + wire(width * n, w));
    }
  };
  check(shared_scale_quantize<8>{}, 1, 1);
  check(shared_scale_quantize<8>{}, 2, 2);
  check(shared_scale_quantize<8>{}, 7, 2);
  check(shared_scale_quantize<7>{}, 2, 1);
  check(shared_scale_quantize<7>{}, 3, 2);
  check(shared_scale_quantize<4>{}, 7, 1);
  check(shared_scale_quantize<2>{}, 7, 1);
  CHECK(detail::sum_type(127, 258) == wire_type::int16);
  CHECK(detail::sum_type(127, 259) == wire_type::int32);
}

TEST_CASE("a block that is not finite on one rank is NaN on all, alone, and leaves the residuals") {
  for (float poison : {quiet_nan, inf, -inf}) {
    trained<shared_scale_quantize<4>> all(shared_scale_quantize<4>{.block = 32}, 3, 100);
    auto in = support::gradients(3, 100);
    all.step(in, 0);
    std::vector<std::vector<float>> before;
    for (auto& w : all.wrappers) before.push_back(w.residual_copy());
    in[1][40] = poison;
    auto const out = all.step(in, 1);
    CHECK(support::all_same(out));
    for (std::size_t i = 0; i < 100; ++i) {
      bool const bad = i >= 32 && i < 64;
      REQUIRE(std::isfinite(out[0][i]) != bad);
      if (bad) REQUIRE(std::bit_cast<std::uint32_t>(out[0][i]) == 0x7fc00000u);
      for (std::size_t r = 0; r < 3; ++r) {
        float const now = all.wrappers[r].residual()[i];
        REQUIRE(std::isfinite(now));
        if (bad) REQUIRE(now == before[r][i]);
      }
    }
  }
}

TEST_CASE("zero and tiny blocks are zero") {
  for (float v : {0.0f, -0.0f, 0x1p-140f}) {
    auto const result = reduce(shared_scale_quantize<3>{}, per_rank<float>(3, std::vector<float>(70, v)));
    for (float y : result.out[2]) REQUIRE(y == 0.0f);
  }
}

TEST_CASE("what was sent and what is kept add up to the input") {
  auto const in = support::gradients(4, 3001);
  auto const c = hadamard_rotate{.block = 256} | shared_scale_quantize<4>{.round = rounding::stochastic};
  trained<std::remove_cvref_t<decltype(c)>> all(c, 4, 3001);
  auto const out = all.step(in, 5, reduction::sum);
  auto const want = support::exact_sum(in);
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    double sum = static_cast<double>(out[0][i]);
    for (auto& w : all.wrappers) sum += static_cast<double>(w.residual()[i]);
    worst = std::max(worst, std::abs(sum - want[i]));
  }
  CHECK(worst < 2e-5);
}

TEST_CASE("with feedback the mean of the outputs converges as 1/T") {
  support::watchdog const guard("shared_scale feedback");
  auto check = [](auto const& c, element_type residual, int steps, double bound) {
    std::size_t const n = 1500;
    auto const in = support::gradients(3, n);
    trained<std::remove_cvref_t<decltype(c)>> all(c, 3, n, {.residual = residual});
    auto want = support::exact_sum(in);
    for (double& v : want) v /= 3;
    std::vector<double> sum(n);
    double first = 0, last = 0;
    for (int t = 1; t <= steps; ++t) {
      auto const out = all.step(in, static_cast<std::uint64_t>(t));
      std::vector<double> error(n);
      for (std::size_t i = 0; i < n; ++i) {
        sum[i] += static_cast<double>(out[0][i]);
        error[i] = sum[i] / t - want[i];
      }
      last = support::norm(error) / support::norm(want);
      if (t == 1) first = last;
    }
    CHECK(first > 0.02);
    CHECK(last < bound * first / steps);
  };
  check(shared_scale_quantize<3>{}, element_type::float32, 64, 2);
  check(shared_scale_quantize<4>{.block = 128, .round = rounding::stochastic}, element_type::float32, 64, 2);
  check(hadamard_rotate{} | shared_scale_quantize<3>{}, element_type::float32, 64, 2);
  check(shared_scale_quantize<3>{}, element_type::bfloat16, 64, 3);
}

TEST_CASE("the same bits for any instruction set and number of threads") {
  auto const in = support::gradients(2, 200003);
  auto const c = hadamard_rotate{} | shared_scale_quantize<5>{.round = rounding::stochastic};
  auto const want = reduce(c, in, {.at = 0}, how::automatic, {1, instruction_set::baseline});
  for (auto const& ex : support::host_execs())
    CHECK(support::same_bits(reduce(c, in, {.at = 0}, how::automatic, ex).out[1], want.out[0]));
}

TEST_CASE("a rotation spreads an outlier that would cost all levels") {
  auto in = support::gradients(4, 4096);
  for (auto& row : in)
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = i % 1024 == 7 ? 100.0f : row[i] / std::abs(row[i]);
  auto const want = support::exact_sum(in);
  auto error_of = [&](auto const& c) {
    auto const result = reduce(c, in, {.op = reduction::sum, .at = 0});
    std::vector<double> error(want);
    for (std::size_t i = 0; i < error.size(); ++i) error[i] -= static_cast<double>(result.out[0][i]);
    return support::norm(error);
  };
  CHECK(error_of(hadamard_rotate{} | shared_scale_quantize<4>{}) <
        0.5 * error_of(shared_scale_quantize<4>{.block = 1024}));
}

TEST_CASE("stochastic rounding is unbiased") {
  auto const in = support::gradients(2, 64);
  auto const want = support::exact_sum(in);
  std::vector<double> sum(64);
  int const steps = 2000;
  for (int t = 0; t < steps; ++t) {
    auto const result = reduce(shared_scale_quantize<3>{.block = 64, .round = rounding::stochastic}, in,
                               {.op = reduction::sum, .at = t});
    for (std::size_t i = 0; i < 64; ++i) sum[i] += static_cast<double>(result.out[0][i]);
  }
  double top = 0;
  for (auto const& row : in)
    for (float v : row) top = std::max(top, static_cast<double>(std::abs(v)));
  // Two roundings with a deviation of at most scale / 2 each; five deviations of the mean.
  double const allowed = 5 * std::sqrt(2.0) / 2 * (top / 3) / std::sqrt(steps);
  for (std::size_t i = 0; i < 64; ++i) REQUIRE(std::abs(sum[i] / steps - want[i]) < allowed);
}

TEST_CASE_TEMPLATE("16-bit tensors", T, float16, bfloat16) {
  auto const in = support::gradients<T>(3, 1111);
  auto const result = reduce(shared_scale_quantize<8>{.block = 64}, in, {.op = reduction::mean});
  CHECK(support::all_same(result.out));
  auto const want = support::exact_sum(in);
  std::vector<double> error(want), mean(want);
  for (std::size_t i = 0; i < error.size(); ++i) {
    mean[i] /= 3;
    error[i] = mean[i] - static_cast<double>(static_cast<float>(result.out[0][i]));
  }
  CHECK(support::norm(error) < 0.02 * support::norm(mean));
}

TEST_CASE("a saved wrapper goes on bit for bit") {
  shared_scale_quantize<4> const c{.round = rounding::stochastic};
  auto const in = support::gradients(2, 900);
  for (auto residual : {element_type::float32, element_type::bfloat16}) {
    trained<shared_scale_quantize<4>> all(c, 2, 900, {.residual = residual}), again(c, 2, 900, {.residual = residual});
    all.step(in, 1);
    for (std::size_t r = 0; r < 2; ++r) again.wrappers[r].load(all.wrappers[r].save());
    CHECK(support::same_bits(all.step(in, 2)[0], again.step(in, 2)[1]));
  }
}

TEST_CASE("two bits with stochastic rounding are refused by feedback") {
  using two = shared_scale_quantize<2>;
  CHECK_THROWS_AS((error_feedback<two>{two{.round = rounding::stochastic}, 100}), invalid_argument);
  CHECK_NOTHROW((error_feedback<two>{two{}, 100}));
  CHECK_THROWS_AS(static_cast<void>(payload_bytes(two{.block = 48}, 10)), invalid_argument);
}
