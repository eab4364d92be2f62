#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/matrices.hpp>
#include <support/trained.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <Eigen/Eigenvalues>
#include <doctest/doctest.h>

#include <cmath>

using namespace ccomp;
using support::how;
using support::inf;
using support::per_rank;
using support::quiet_nan;
using support::reduce;

namespace {

template <class C = power_sgd> using trained = support::trained<C>;

double relative_error(std::vector<float> const& got, std::vector<double> const& want) {
  std::vector<double> error(want);
  for (std::size_t i = 0; i < error.size(); ++i) error[i] -= static_cast<double>(got[i]);
  return support::norm(error) / (support::norm(want) + 1e-300);
}
std::vector<double> widened(std::vector<float> const& x) { return {x.begin(), x.end()}; }

/// Matrices whose sum has this rank: every rank's columns lie in one space.
per_rank<float> of_rank(int ranks, std::size_t rows, std::size_t cols, std::size_t rank, float size = 1) {
  auto const left = support::gaussian_values(rows * rank, 3);
  per_rank<float> all;
  for (int r = 0; r < ranks; ++r) {
    auto const right = support::gaussian_values(cols * rank, 10 + static_cast<std::uint64_t>(r));
    std::vector<float> m(rows * cols);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j)
        for (std::size_t k = 0; k < rank; ++k) m[i * cols + j] += size * left[i * rank + k] * right[j * rank + k];
    all.push_back(m);
  }
  return all;
}
/// Singular values that fall off slowly: no rank is exact.
std::vector<float> smooth_matrix(std::size_t rows, std::size_t cols) {
  auto const noise = support::gaussian_values(rows * cols, 77, 0.05);
  auto m = of_rank(1, rows, cols, 3)[0];
  for (std::size_t i = 0; i < m.size(); ++i) m[i] += noise[i];
  return m;
}
double best_error(std::vector<float> const& m, Eigen::Index rows, Eigen::Index cols, Eigen::Index rank) {
  using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::MatrixXd const a = Eigen::Map<matrix const>(m.data(), rows, cols).cast<double>();
  // Squares of the singular values, ascending. Eigen's SVD would take longer to compile than the rest of this file.
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const gram(a.transpose().lazyProduct(a), Eigen::EigenvaluesOnly);
  Eigen::ArrayXd const squares = gram.eigenvalues().array().max(0);
  return std::sqrt(squares.head(cols - rank).sum() / squares.sum());
}

}  // namespace

TEST_CASE("matrices of the rank or less come through") {
  support::watchdog const guard("power_sgd exact");
  for (int ranks : {1, 2, 3, 4, 7})
    for (std::uint32_t rank : {1u, 2u, 3u, 4u, 7u}) {
      CAPTURE(ranks);
      CAPTURE(rank);
      for (auto [rows, cols] : {std::pair<std::size_t, std::size_t>{61, 67}, {130, 48}, {33, 301}}) {
        auto const in = of_rank(ranks, rows, cols, rank == 7 ? 5 : rank);
        auto const result = reduce(power_sgd{.rank = rank, .rows = rows}, in, {.op = reduction::sum, .at = 2});
        CHECK(support::all_same(result.out));
        CHECK(relative_error(result.out[0], support::exact_sum(in)) < 1e-4);
        CHECK(result.reports[0].strategy == "rounds");
        auto const w = static_cast<std::size_t>(ranks);
        CHECK(result.reports[0].bytes_sent ==
              2 * (w - 1) * (4 * rank * rows) / w + 2 * (w - 1) * (4 * rank * cols) / w);
      }
    }
}

TEST_CASE("any n, seen as a nearly square matrix, is a projection") {
  for (std::size_t n : {0u, 1u, 2u, 3u, 127u, 128u, 129u, 997u, 4093u, 10007u, 65536u}) {
    CAPTURE(n);
    power_sgd const c{.rank = 2};
    auto const x = support::gaussian_values(n, n);
    auto const y = support::round_trip(c, x, {.at = 1});
    double const error = relative_error(y, widened(x));
    CHECK(error <= (c.carrier_size(n) == n ? 0.0 : 1.0));
    CHECK(payload_bytes(c, n) == detail::pad16(4 * c.carrier_size(n)));
    if (n >= 127) CHECK(c.carrier_size(n) < n);
    auto const result = reduce(c, per_rank<float>(3, x), {.op = reduction::mean, .at = 1});
    CHECK(support::all_same(result.out));
    // Three equal ranks are one: the same projection, but for rounding.
    std::vector<double> const want = widened(y);
    CHECK(relative_error(result.out[0], want) < 2e-6);
  }
}

TEST_CASE("small tensors are sent as they are") {
  power_sgd const c{.rank = 4};
  auto const in = support::gradients(4, 60);
  REQUIRE(c.carrier_size(60) == 60);
  CHECK(support::round_trip(c, in[0]) == in[0]);
  trained<> all(c, 4, 60);
  for (auto& w : all.wrappers) w.residual()[5] = 2.0f;
  auto poisoned = in;
  poisoned[2][7] = inf;
  auto const out = all.step(poisoned, 1, reduction::sum);
  CHECK(support::all_same(out));
  auto const want = support::exact_sum(in);
  for (std::size_t i = 0; i < 60; ++i) {
    if (i == 7) {
      CHECK(!std::isfinite(out[0][i]));
      continue;
    }
    CHECK(static_cast<double>(out[0][i]) == doctest::Approx(want[i] + (i == 5 ? 8 : 0)).epsilon(1e-6));
    CHECK(all.wrappers[1].residual()[i] == 0.0f);
  }
}

TEST_CASE("a warm start settles close to the best matrix of its rank") {
  std::size_t const rows = 120, cols = 90;
  auto const m = smooth_matrix(rows, cols);
  double const best = best_error(m, 120, 90, 4);
  // Without a residual every step sees the same matrix, so that this is subspace iteration.
  power_sgd const c{.rank = 4, .rows = rows};
  trained<> all(c, 2, m.size());
  double error = 0;
  for (std::uint64_t t = 0; t < 12; ++t) {
    for (auto& w : all.wrappers) std::ranges::fill(w.residual(), 0.0f);
    error = relative_error(all.step(per_rank<float>(2, m), t)[0], widened(m));
  }
  CHECK(error < 1.02 * best);
  CHECK(error > 0.999 * best);
}

TEST_CASE("with a warm start, a fixed matrix is sent with the error of the best of its rank") {
  // formula_matrix(48, 30); of numpy.linalg.svd (numpy 1.24.2, LAPACK's gesdd, float64): the squares of its singular values, from the
  // third on. The third is 0.352 of the second, and what is missing of the error shrinks by the fourth power per step.
  std::size_t const rows = 48;
  auto const m = support::formula_matrix(rows, 30);
  trained<> all(power_sgd{.rank = 2, .rows = rows}, 2, m.size());
  per_rank<float> out;
  for (std::uint64_t t = 0; t < 10; ++t) {
    for (auto& w : all.wrappers) std::ranges::fill(w.residual(), 0.0f);
    out = all.step(per_rank<float>(2, m), t);
  }
  CHECK(support::squared_error(m, out[0]) == doctest::Approx(1663.3450304474418).epsilon(1e-6));
}

TEST_CASE("what was sent and what is kept add up to the input") {
  for (auto const& c :
       {power_sgd{.rank = 1}, power_sgd{.rank = 3, .rows = 70}, power_sgd{}, power_sgd{.rank = 7, .rows = 101}}) {
    CAPTURE(c.rank);
    std::size_t const n = 10007;
    auto const in = support::gradients(4, n);
    trained<> all(c, 4, n);
    std::vector<double> sent(n);
    for (std::uint64_t t = 0; t < 3; ++t) {
      auto const out = all.step(in, t, reduction::sum);
      CHECK(support::all_same(out));
      for (std::size_t i = 0; i < n; ++i) sent[i] += static_cast<double>(out[0][i]);
    }
    auto want = support::exact_sum(in);
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (auto& w : all.wrappers) sent[i] += static_cast<double>(w.residual()[i]);
      worst = std::max(worst, std::abs(sent[i] - 3 * want[i]));
    }
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("with feedback the mean of the outputs converges as 1/T") {
  support::watchdog const guard("power_sgd feedback");
  auto check = [](element_type residual, how strategy, int ranks, double bound) {
    CAPTURE(support::name_of(strategy));
    std::size_t const rows = 64, cols = 48;
    auto const base = smooth_matrix(rows, cols);
    per_rank<float> in(static_cast<std::size_t>(ranks), base);
    for (std::size_t r = 0; r < in.size(); ++r)
      for (std::size_t i = 0; i < base.size(); ++i) in[r][i] *= 1.0f + 0.3f * static_cast<float>((i + r) % 3);
    auto want = support::exact_sum(in);
    for (double& v : want) v /= ranks;
    trained<> all(power_sgd{.rank = 4, .rows = rows}, ranks, base.size(), {.residual = residual});
    std::vector<double> sum(base.size());
    double first = 0, at_64 = 0, at_256 = 0;
    thread_group group(ranks);
    for (int t = 1; t <= 256; ++t) {
      auto out = in;
      group.run([&](thread_communicator& comm) {
        auto const r = static_cast<std::size_t>(comm.rank());
        workspace<host_exec> ws{{1}};
        support::allreduce_by(strategy, {1}, comm, all.wrappers[r], out[r], ws, {.at = t});
      });
      std::vector<double> error(want);
      for (std::size_t i = 0; i < sum.size(); ++i) error[i] -= (sum[i] += static_cast<double>(out[0][i])) / t;
      double const now = support::norm(error) / support::norm(want);
      if (t == 1) first = now;
      if (t == 64) at_64 = now;
      if (t == 256) at_256 = now;
    }
    CHECK(first > 0.02);
    CHECK(at_64 < bound * first);
    CHECK(at_256 < 0.3 * at_64);  // a quarter, if it falls as 1/T
  };
  check(element_type::float32, how::automatic, 1, 0.25);
  check(element_type::float32, how::automatic, 3, 0.25);
  check(element_type::bfloat16, how::automatic, 3, 0.25);
  check(element_type::float32, how::gather, 2, 0.5);  // a new random start in every step
  check(element_type::float32, how::two_shot, 2, 0.1);
}

TEST_CASE("gather and two_shot send the factors") {
  std::size_t const n = 9001;
  auto const in = support::gradients(3, n);
  auto const want = support::exact_sum(in);
  for (how strategy : {how::gather, how::two_shot}) {
    CAPTURE(support::name_of(strategy));
    auto const result = reduce(power_sgd{.rank = 3}, in, {.op = reduction::sum, .at = 1}, strategy);
    CHECK(support::all_same(result.out));
    CHECK(relative_error(result.out[0], want) < 1);
    auto const codes = reduce(power_sgd{.rank = 3} | uniform_quantize<8>{}, in, {.op = reduction::sum, .at = 1});
    CHECK(support::all_same(codes.out));
    CHECK(relative_error(codes.out[0], want) < 1.05);
  }
}

TEST_CASE("what is not finite on one rank makes the tensor NaN on all, and changes nothing else") {
  std::size_t const n = 5000;
  for (auto residual : {element_type::float32, element_type::bfloat16})
    for (float poison : {quiet_nan, inf, -inf}) {
      trained<> all(power_sgd{.rank = 2}, 3, n, {.residual = residual});
      auto in = support::gradients(3, n);
      all.step(in, 0);
      // Residual and warm start, behind what says whose they are and which step was last.
      auto kept = [](auto const& wrapper) {
        auto const bytes = wrapper.save();
        return std::vector<std::byte>(bytes.begin() + 80, bytes.end());
      };
      std::vector<std::vector<std::byte>> before;
      for (auto& w : all.wrappers) before.push_back(kept(w));
      in[1][n - 1] = poison;
      auto const out = all.step(in, 1);
      for (auto const& row : out)
        for (float v : row) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
      for (std::size_t r = 0; r < 3; ++r) CHECK(kept(all.wrappers[r]) == before[r]);
      auto const alone = support::round_trip(power_sgd{.rank = 2}, in[1]);
      for (float v : alone) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    }
}

TEST_CASE("huge and tiny matrices") {
  for (float size : {1e30f, 1e-30f, 1e-38f}) {
    CAPTURE(size);
    auto const in = of_rank(2, 50, 40, 2, size);
    trained<> all(power_sgd{.rank = 2, .rows = 50}, 2, 2000);
    for (std::uint64_t t = 0; t < 3; ++t) {
      for (auto& w : all.wrappers) std::ranges::fill(w.residual(), 0.0f);
      auto const out = all.step(in, t, reduction::sum);
      CHECK(relative_error(out[0], support::exact_sum(in)) < (size > 1e-37f ? 1e-5 : 1e-2));
    }
  }
  // Near the end of the range a product might overflow: NaN, everywhere, and no residual of Inf.
  trained<> all(power_sgd{.rank = 2}, 2, 5000);
  auto const out = all.step(per_rank<float>(2, std::vector<float>(5000, 3e38f)), 0);
  CHECK(support::all_same(out));
  for (auto& w : all.wrappers) CHECK(support::all_finite(w.residual_copy()));
}

TEST_CASE("zero and rank-deficient matrices give no NaN, and do not stop the iteration for good") {
  std::size_t const rows = 60, cols = 50;
  trained<> all(power_sgd{.rank = 4, .rows = rows}, 2, rows * cols);
  per_rank<float> const zero(2, std::vector<float>(rows * cols));
  for (std::uint64_t t = 0; t < 2; ++t) {
    auto const out = all.step(zero, t);
    for (float v : out[0]) REQUIRE(v == 0.0f);
  }
  for (std::size_t rank : {1u, 4u}) {  // rank 1 leaves three directions dead, which rank 4 then needs
    auto const in = of_rank(2, rows, cols, rank);
    for (std::uint64_t t = 0; t < 3; ++t) {
      auto const out = all.step(in, 10 * rank + t, reduction::sum);
      CHECK(support::all_finite(out[0]));
      if (t == 2) CHECK(relative_error(out[1], support::exact_sum(in)) < 0.02);
    }
    for (auto& w : all.wrappers) std::ranges::fill(w.residual(), 0.0f);
  }
}

TEST_CASE("the same bits for any instruction set and number of threads") {
  CHECK(support::same_everywhere(power_sgd{.rank = 3}, support::gaussian_values(300007, 5), {.at = 2}));
  std::size_t const n = 400009;  // rows of 640 values, the last one short
  auto const in = support::gradients(2, n);
  for (std::uint32_t rank : {4u, 7u}) {
    trained<> first(power_sgd{.rank = rank}, 2, n);
    auto const want = first.step(in, 0, reduction::mean, {1, instruction_set::baseline});
    for (auto const& ex : support::host_execs()) {
      trained<> all(power_sgd{.rank = rank}, 2, n);
      CHECK(support::same_bits(all.step(in, 0, reduction::mean, ex)[1], want[0]));
      CHECK(all.wrappers[1].save() == first.wrappers[1].save());
    }
  }
}

TEST_CASE("element and residual types, fused or not, agree") {
  std::size_t const n = 64 * 50;
  auto const base = support::gradients(2, n);
  auto in = base;  // values that bfloat16 holds
  per_rank<bfloat16> narrow(2);
  per_rank<float16> half(2);
  for (std::size_t r = 0; r < 2; ++r)
    for (float& v : in[r]) {
      narrow[r].push_back(bfloat16(v));
      v = static_cast<float>(narrow[r].back());
      half[r].push_back(float16(v));
    }
  power_sgd const c{.rank = 2, .rows = 64};
  trained<> plain(c, 2, n), small(c, 2, n, {.residual = element_type::bfloat16}), narrowed(c, 2, n), halved(c, 2, n);
  auto const a = plain.step(in, 0), b = small.step(in, 0);
  CHECK(support::same_bits(a[0], b[0]));
  auto const y = narrowed.step(narrow, 0);
  auto const z = halved.step(half, 0);
  CHECK(support::all_same(y));
  CHECK(support::all_same(z));
  auto const rest = plain.wrappers[0].residual_copy(), rest_small = small.wrappers[0].residual_copy(),
             rest_narrow = narrowed.wrappers[0].residual_copy();
  for (std::size_t i = 0; i < n; ++i) {
    REQUIRE(y[0][i] == bfloat16(a[0][i]));
    REQUIRE(rest_narrow[i] == rest[i]);
    REQUIRE(std::abs(rest_small[i] - rest[i]) <= 0x1p-7f * std::abs(rest[i]));
    REQUIRE(std::abs(static_cast<float>(z[0][i]) - a[0][i]) < 0.01f);
  }
}

TEST_CASE("behind a transform") {
  std::size_t const n = 64 * 64;
  auto const in = support::gradients(3, n);
  auto const c = hadamard_rotate{.block = 64} | power_sgd{.rank = 3, .rows = 64};
  trained<std::remove_cvref_t<decltype(c)>> all(c, 3, n);
  auto const out = all.step(in, 1, reduction::sum);
  CHECK(support::all_same(out));
  auto const want = support::exact_sum(in);
  CHECK(relative_error(out[0], want) < 1);
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double sum = static_cast<double>(out[0][i]);
    for (auto& w : all.wrappers) sum += static_cast<double>(w.residual()[i]);
    worst = std::max(worst, std::abs(sum - want[i]));
  }
  CHECK(worst < 2e-5);
}

TEST_CASE("decay weakens the residual") {
  auto const in = support::gradients(1, 3000);
  trained<> all(power_sgd{.rank = 1}, 1, 3000, {.decay = 0.5f}), scaled(power_sgd{.rank = 1}, 1, 3000);
  all.step(in, 0);
  scaled.step(in, 0);
  scaled.wrappers[0].scale(0.5f);
  CHECK(support::same_bits(all.step(in, 1)[0], scaled.step(in, 1)[0]));
}

TEST_CASE("a saved wrapper goes on bit for bit, warm start included") {
  auto const in = support::gradients(2, 7000);
  for (auto residual : {element_type::float32, element_type::bfloat16}) {
    power_sgd const c{.rank = 3};
    trained<> all(c, 2, 7000, {.residual = residual}), again(c, 2, 7000, {.residual = residual}),
        cold(c, 2, 7000, {.residual = residual});
    all.step(in, 1);
    cold.step(in, 1);
    for (std::size_t r = 0; r < 2; ++r) again.wrappers[r].load(all.wrappers[r].save());
    auto const next = all.step(in, 2);
    CHECK(support::same_bits(next[0], again.step(in, 2)[1]));
    for (auto& w : cold.wrappers) w.reset();
    CHECK_FALSE(support::same_bits(next[0], cold.step(in, 2)[0]));
  }
}

TEST_CASE("without a wrapper the start follows from seed and step") {
  auto const x = support::gaussian_values(4000, 1);
  power_sgd const c{.rank = 2};
  CHECK(support::encoded(c, x, {.at = 1}) == support::encoded(c, x, {.at = 1}));
  CHECK(support::encoded(c, x, {.at = 1}) != support::encoded(c, x, {.at = 2}));
  CHECK(support::encoded(c, x, {.at = 1}) != support::encoded(power_sgd{.rank = 2, .seed = 1}, x, {.at = 1}));
}

TEST_CASE("decode-accumulate adds the product") {
  auto const x = support::gaussian_values(5003, 1);
  power_sgd const c{.rank = 3};
  auto const bytes = support::encoded(c, x);
  auto const y = support::decoded(c, bytes, x.size());
  support::payload_buffer payload(bytes.size());
  std::ranges::copy(bytes, payload.bytes().begin());
  auto out = support::gaussian_values(5003, 2);
  auto const old = out;
  workspace ws{host_exec{1}};
  decode_accumulate(host_exec{1}, c, payload, out, ws);
  for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == doctest::Approx(old[i] + y[i]).epsilon(1e-5));
}

TEST_CASE("settings out of range are refused") {
  CHECK_THROWS_AS(static_cast<void>(payload_bytes(power_sgd{.rank = 0}, 10)), invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(payload_bytes(power_sgd{.rank = 1025}, 10)), invalid_argument);
  CHECK(text(power_sgd{.rank = 2, .rows = 7}) == "power_sgd(rank=2, rows=7)");
}

TEST_CASE("factors are float32 whatever the tensor's type: 16-bit matrices of large values stay finite") {
  std::size_t const n = 64 * 64;
  power_sgd const c{.rank = 2, .rows = 64};
  CHECK(ccomp::payload_bytes<ccomp::float16>(c, n) == ccomp::payload_bytes<float>(c, n));
  CHECK(ccomp::payload_bytes<ccomp::bfloat16>(c, n) == 4 * 2 * (64 + 64));
  for (float const v : {10.0f, 3000.0f, 30000.0f, 65504.0f}) {
    std::vector<ccomp::float16> const x(n, ccomp::float16(v));
    for (auto const y : support::round_trip(c, x)) REQUIRE(static_cast<float>(y) == doctest::Approx(v).epsilon(0x1p-9));
  }
}

TEST_CASE("text names it where its header is included") {
  CHECK(ccomp::any_compressor("power_sgd(rank=4, rows=0, seed=0)").text() == "power_sgd");
  CHECK(ccomp::any_compressor("hadamard_rotate | power_sgd(2)").text() == "hadamard_rotate|power_sgd(rank=2)");
}
