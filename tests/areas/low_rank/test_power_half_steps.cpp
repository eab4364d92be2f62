// power_sgd(half_steps=true): one factor a step.
#include <support/codec.hpp>
#include <support/counting.hpp>
#include <support/float_bits.hpp>
#include <support/matrices.hpp>
#include <support/trained.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::how;
using support::per_rank;

namespace {

constexpr std::size_t half_rows = 64, half_cols = 48, half_n = half_rows * half_cols;
constexpr power_sgd halves{.rank = 3, .rows = half_rows, .half_steps = true};

template <class C> void forget_residuals(support::trained<C>& all) {
  for (auto& w : all.wrappers) std::ranges::fill(w.residual(), 0.0f);
}
/// Residual and state, behind what says whose they are and which step was last.
template <class W> std::vector<std::byte> contents(W const& wrapper) {
  auto const bytes = wrapper.save();
  return {bytes.begin() + 80, bytes.end()};
}
/// What one rank sends in this step.
std::size_t bytes_of_step(support::trained<power_sgd>& all, per_rank<float> const& in, std::uint64_t number) {
  auto out = in;
  std::vector<std::size_t> sent(in.size());
  thread_group group(static_cast<int>(in.size()));
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace<host_exec> ws{{1}};
    support::counting_communicator counting{comm};
    sent[r] = allreduce({1}, counting, all.wrappers[r], out[r], ws, {.at = number}).bytes_sent;
    if (counting.sums != 1) sent[r] = 0;
  });
  CHECK(support::all_same(out));
  return sent[0];
}

}  // namespace

TEST_CASE("half steps: a fixed matrix is sent with the error of the best of its rank") {
  // As for whole steps (test_power_sgd.cpp), with two half steps for each.
  auto const m = support::formula_matrix(48, 30);
  for (int const ranks : {1, 2, 3}) {
    support::trained<power_sgd> all(power_sgd{.rank = 2, .rows = 48, .half_steps = true}, ranks, m.size());
    for (std::uint64_t t = 0; t < 21; ++t) {
      forget_residuals(all);
      auto const out = all.step(per_rank<float>(static_cast<std::size_t>(ranks), m), t);
      CHECK(support::all_same(out));
      if (t >= 19)  // after either half
        CHECK(support::squared_error(m, out[0]) == doctest::Approx(1663.3450304474418).epsilon(1e-6));
    }
  }
}

TEST_CASE("half steps: one message a step, and two steps send what one whole step sends") {
  auto const in = support::gradients(2, half_n);
  support::trained<power_sgd> all(halves, 2, half_n);
  for (std::uint64_t t = 0; t < 4; ++t)
    CHECK(bytes_of_step(all, in, t) == 4 * 3 * (t % 2 == 0 ? half_rows : half_cols));
}

TEST_CASE("half steps: what was sent and what is kept add up to the input") {
  auto check = [](auto const& c, std::size_t n, feedback_options const& options, double allowed) {
    auto const in = support::gradients(3, n);
    support::trained<std::remove_cvref_t<decltype(c)>> all(c, 3, n, options);
    std::vector<double> sent(n);
    for (std::uint64_t t = 0; t < 4; ++t) {
      auto const out = all.step(in, t, reduction::sum);
      CHECK(support::all_same(out));
      for (std::size_t i = 0; i < n; ++i) sent[i] += static_cast<double>(out[0][i]);
    }
    auto const want = support::exact_sum(in);
    double worst = 0;
    for (auto& w : all.wrappers) {
      auto const rest = w.residual_copy();
      for (std::size_t i = 0; i < n; ++i) sent[i] += static_cast<double>(rest[i]);
    }
    for (std::size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(sent[i] - 4 * want[i]));
    CHECK(worst < allowed);
  };
  check(power_sgd{.rank = 3, .half_steps = true}, 10007, {}, 1e-4);
  check(power_sgd{.rank = 7, .rows = 101, .half_steps = true}, 10007, {}, 1e-4);
  check(hadamard_rotate{.block = 64} | halves, half_n, {}, 1e-4);
  check(halves, half_n, {.residual = element_type::bfloat16}, 0.1);  // residuals of up to 4, kept to 2^-9 of each
}

TEST_CASE("half steps: with feedback the mean of the outputs converges as 1/T") {
  auto const base = support::gaussian_values(half_n, 3);
  per_rank<float> in(2, base);
  for (std::size_t i = 0; i < base.size(); ++i) in[1][i] *= 1.0f + 0.3f * static_cast<float>(i % 3);
  auto const want = support::exact_sum(in);
  support::trained<power_sgd> all(halves, 2, half_n);
  std::vector<double> sum(half_n), errors;
  for (int t = 1; t <= 512; ++t) {
    auto const out = all.step(in, static_cast<std::uint64_t>(t), reduction::sum);
    std::vector<double> error(want);
    for (std::size_t i = 0; i < half_n; ++i) error[i] -= (sum[i] += static_cast<double>(out[0][i])) / t;
    errors.push_back(support::norm(error) / support::norm(want));
  }
  CHECK(errors[0] > 0.02);
  CHECK(errors[511] < 0.3 * errors[127]);  // a quarter, if it falls as 1/T
}

TEST_CASE("half steps: a saved wrapper goes on bit for bit, from either half") {
  auto const in = support::gradients(2, half_n);
  for (std::uint64_t const before : {1u, 2u}) {
    support::trained<power_sgd> all(halves, 2, half_n), again(halves, 2, half_n);
    for (std::uint64_t t = 0; t < before; ++t) all.step(in, t);
    for (std::size_t r = 0; r < 2; ++r) again.wrappers[r].load(all.wrappers[r].save());
    for (std::uint64_t t = before; t < before + 3; ++t) {
      CHECK(support::same_bits(all.step(in, t), again.step(in, t)));
      CHECK(all.wrappers[0].save() == again.wrappers[0].save());
    }
  }
}

TEST_CASE("half steps: a step that was lost or discarded is no half") {
  auto const in = support::gradients(2, half_n);
  support::trained<power_sgd> all(halves, 2, half_n, {.transactional = true}), straight(halves, 2, half_n);
  for (std::uint64_t t = 0; t < 4; ++t) {
    auto poisoned = in;
    poisoned[1][half_n - 1] = t % 2 == 0 ? support::quiet_nan : -support::inf;
    auto const kept = contents(all.wrappers[1]);
    auto const lost = all.step(poisoned, 10 * t);
    for (float const v : lost[0]) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    CHECK(support::all_same(lost));
    CHECK(contents(all.wrappers[1]) == kept);
    all.step(in, 10 * t + 1);
    for (auto& w : all.wrappers) w.discard();
    CHECK(contents(all.wrappers[1]) == kept);
    CHECK(support::same_bits(all.step(in, 10 * t + 2), straight.step(in, 10 * t + 2)));
  }
}

TEST_CASE("half steps: wrappers at different halves are told apart before anything is sent") {
  auto const in = support::gradients(2, half_n);
  support::trained<power_sgd> all(halves, 2, half_n), ahead(halves, 2, half_n);
  ahead.step(in, 0);
  all.wrappers[1].load(ahead.wrappers[1].save());
  auto const kept = all.wrappers[1].save();
  CHECK_THROWS_WITH_AS(all.step(in, 1), doctest::Contains("rounds P"), rank_mismatch);
  CHECK(all.wrappers[1].save() == kept);
}

TEST_CASE("half steps: each tensor of a call is at its own half") {
  std::size_t constexpr tensors = 4;
  std::size_t const n[tensors] = {half_n, 30, 5003, 2000};
  per_rank<float> last(2), last_single(2);
  std::vector<int> sums(2);
  bool kept[2] = {};
  thread_group group(2);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    support::counting_communicator counting{comm};
    workspace<host_exec> ws{{1}};
    error_feedback_set set(power_sgd{.rank = 3, .half_steps = true});
    std::vector<error_feedback<power_sgd>> single;
    for (std::size_t i = 0; i < tensors; ++i)
      single.emplace_back(power_sgd{.rank = 3, .half_steps = true}, n[i], host_exec{}, feedback_options{.id = i});
    for (int t = 0; t < 5; ++t) {
      per_rank<float> x;
      for (std::size_t i = 0; i < tensors; ++i) x.push_back(support::gradients(2, n[i], i + 1)[r]);
      auto apart = x;
      std::vector<tensor_view> views;
      for (std::size_t i = 0; i < tensors; ++i)
        if (t != 1 || i != 2) views.emplace_back(std::span(x[i]), i);  // a tensor without a gradient in one step
      allreduce({1}, counting, set, views, ws, {.at = t});
      for (auto const& v : views) {
        auto& y = apart[v.id];
        allreduce({1}, comm, single[v.id], y, ws, {.at = t});
        last_single[r].insert(last_single[r].end(), y.begin(), y.end());
        last[r].insert(last[r].end(), x[v.id].begin(), x[v.id].end());
      }
    }
    sums[r] = counting.sums;
    kept[r] = true;
    for (auto const& [id, w] : set) kept[r] = kept[r] && single[id].save() == w.save();
  });
  CHECK(support::same_bits(last[0], last_single[0]));
  CHECK(support::same_bits(last[0], last[1]));
  CHECK(sums == std::vector<int>{5, 5});
  CHECK(kept[0]);
  CHECK(kept[1]);
}

TEST_CASE("half steps: zero matrices, and those of a smaller rank, do not stop the iteration for good") {
  auto const left = support::gaussian_values(half_rows, 3), right = support::gaussian_values(half_cols, 4);
  std::vector<float> m(half_n);
  for (std::size_t i = half_rows / 2; i < half_rows; ++i)  // the first rows and columns are zero
    for (std::size_t j = half_cols / 2; j < half_cols; ++j) m[i * half_cols + j] = left[i] * right[j];
  support::trained<power_sgd> all(halves, 2, half_n);
  for (std::uint64_t t = 0; t < 3; ++t) {
    auto const out = all.step(per_rank<float>(2, std::vector<float>(half_n)), t);
    for (float const v : out[0]) REQUIRE(v == 0.0f);
  }
  for (std::uint64_t t = 3; t < 7; ++t) {
    forget_residuals(all);
    auto const out = all.step(per_rank<float>(2, m), t);
    CHECK(support::all_finite(out[0]));
    if (t == 6) CHECK(support::squared_error(m, out[0]) < 1e-8 * support::squared_error(m, std::vector<float>(half_n)));
  }
  // A matrix of rank 1 has left two directions without a use; this one needs them.
  auto const full = support::formula_matrix(half_rows, half_cols);
  for (std::uint64_t t = 7; t < 40; ++t) {
    forget_residuals(all);
    auto const out = all.step(per_rank<float>(2, full), t);
    if (t == 39) {
      support::trained<power_sgd> fresh(halves, 2, half_n);
      per_rank<float> want;
      for (std::uint64_t s = 0; s < 33; ++s) {
        forget_residuals(fresh);
        want = fresh.step(per_rank<float>(2, full), s);
      }
      CHECK(support::squared_error(full, out[0]) ==
            doctest::Approx(support::squared_error(full, want[0])).epsilon(1e-4));
    }
  }
}

TEST_CASE("half steps: matrices of any size, and factors beyond the range") {
  for (float const size : {1e30f, 1e-30f}) {
    auto m = support::formula_matrix(half_rows, half_cols);
    for (float& v : m) v *= size;
    support::trained<power_sgd> all(halves, 2, half_n);
    for (std::uint64_t t = 0; t < 3; ++t) {
      auto const out = all.step(per_rank<float>(2, m), t);
      CHECK(support::all_finite(out[0]));
      CHECK(out[0][half_n - 1] != 0);
    }
  }
  support::trained<power_sgd> all(halves, 2, half_n);
  auto const kept = contents(all.wrappers[0]);
  auto const out = all.step(per_rank<float>(2, std::vector<float>(half_n, 3e38f)), 0);
  CHECK(support::all_same(out));
  CHECK(std::isnan(out[0][0]));
  CHECK(contents(all.wrappers[0]) == kept);
}

TEST_CASE("half steps: the same bits for any instruction set and number of threads") {
  std::size_t const n = 400009;
  auto const in = support::gradients(2, n);
  power_sgd const c{.rank = 4, .half_steps = true};
  support::trained<power_sgd> first(c, 2, n);
  per_rank<float> want[2];
  for (std::uint64_t t : {0u, 1u}) want[t] = first.step(in, t, reduction::mean, {1, instruction_set::baseline});
  for (auto const& ex : support::host_execs()) {
    support::trained<power_sgd> all(c, 2, n);
    for (std::uint64_t t : {0u, 1u}) CHECK(support::same_bits(all.step(in, t, reduction::mean, ex), want[t]));
    CHECK(all.wrappers[1].save() == first.wrappers[1].save());
  }
}

TEST_CASE("half steps: whatever keeps no state does whole steps") {
  auto const in = support::gradients(2, half_n);
  power_sgd whole = halves;
  whole.half_steps = false;
  for (how const h : {how::automatic, how::gather, how::two_shot}) {
    auto const a = support::reduce(halves, in, {.op = reduction::sum, .at = 1}, h);
    auto const b = support::reduce(whole, in, {.op = reduction::sum, .at = 1}, h);
    CHECK(support::same_bits(a.out, b.out));
    CHECK(a.reports[0].bytes_sent == b.reports[0].bytes_sent);
  }
  CHECK(support::encoded(halves, in[0]) == support::encoded(whole, in[0]));
  CHECK(fingerprint(halves) != fingerprint(whole));
  CHECK(fingerprint(any_compressor("power_sgd(rank=3, rows=64, half_steps=true)")) == fingerprint(halves));
  CHECK(text(halves) == "power_sgd(rank=3, rows=64, half_steps=true)");
}
