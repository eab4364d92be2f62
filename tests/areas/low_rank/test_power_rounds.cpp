// power_sgd and shared_scale_quantize over several tensors: one message each round, and the bits of one call each.
#include <support/counting.hpp>
#include <support/float_bits.hpp>
#include <support/ranks.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

/// Matrices and small tensors of all types, one of them empty.
struct mixture {
  std::vector<std::vector<float>> wide;
  std::vector<float16> half;
  std::vector<bfloat16> narrow;

  mixture(std::size_t matrices, std::size_t rank) {
    std::size_t const seed = 50 * rank + 1;
    for (std::size_t i = 0; i < matrices; ++i) wide.push_back(support::gradients(1, 900 + 351 * i, seed + i)[0]);
    for (std::size_t n : {0u, 1u, 47u}) wide.push_back(support::gradients(1, n, seed + 20 + n)[0]);
    half = support::gradients<float16>(1, 2011, seed + 18)[0];
    narrow = support::gradients<bfloat16>(1, 60 * 60, seed + 19)[0];
  }
  template <class F> void each(F const& f) {
    f(narrow, 3u);
    for (std::size_t i = 0; i < wide.size(); ++i) f(wide[i], static_cast<std::uint64_t>(100 - i));
    f(half, 2u);
  }
  std::vector<tensor_view> views() {
    std::vector<tensor_view> all;
    each([&](auto& x, std::uint64_t id) { all.emplace_back(std::span(x), id); });
    return all;
  }
  bool operator==(mixture const& o) const {
    return std::ranges::equal(wide, o.wide, [](auto const& a, auto const& b) { return support::same_bits(a, b); }) &&
           support::same_bits(half, o.half) && support::same_bits(narrow, o.narrow);
  }
};

/// Three steps of a set of wrappers with several tensors a call, and of single wrappers.
template <class C> void check_feedback(C const& c, int ranks, reduction op, feedback_options const& options) {
  CAPTURE(text(c));
  CAPTURE(ranks);
  std::vector<mixture> together, apart;
  for (int r = 0; r < ranks; ++r) together.emplace_back(4, static_cast<std::size_t>(r));
  apart = together;
  std::vector<char> kept(together.size());
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace<host_exec> ws{{1}};
    error_feedback_set<C> set(c, options);
    std::map<std::uint64_t, error_feedback<C>> single;
    for (int t = 0; t < 3; ++t) {
      together[r] = apart[r] = mixture(4, r);
      auto const views = together[r].views();
      allreduce({1}, comm, set, views, ws, {.op = op, .at = step(t)});
      apart[r].each([&](auto& x, std::uint64_t id) {
        feedback_options own = options;
        own.id = id;
        auto& wrapper = single.try_emplace(id, c, x.size(), host_exec{}, own).first->second;
        allreduce({1}, comm, wrapper, x, ws, {.op = op, .at = step(t)});
      });
    }
    kept[r] = set.size() == single.size();
    for (auto const& [id, w] : set)
      if (single.at(id).save() != w.save()) kept[r] = 0;
  });
  for (std::size_t r = 0; r < together.size(); ++r) {
    CHECK(together[r] == together[0]);
    CHECK(together[r] == apart[r]);
    CHECK(kept[r] == 1);
  }
  CHECK_FALSE(together[0] == mixture(4, 0));
}

template <class C> void check_alone(C const& c, int ranks) {
  CAPTURE(text(c));
  std::vector<mixture> together, apart;
  for (int r = 0; r < ranks; ++r) together.emplace_back(4, static_cast<std::size_t>(r));
  apart = together;
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace<host_exec> ws{{1}};
    auto const views = together[r].views();
    allreduce({1}, comm, c, views, ws, {.at = 5});
    apart[r].each([&](auto& x, std::uint64_t id) { allreduce({1}, comm, c, x, ws, {.at = 5, .tensor = id}); });
  });
  for (auto const& m : together) CHECK(m == together[0]);
  CHECK(together[0] == apart[0]);
}

/// Messages of a call with so many matrices of 900 values or more, and with the small tensors if `all`.
template <class X> int messages(X&& x, std::size_t matrices, bool all, int ranks = 2) {
  std::vector<int> sums(static_cast<std::size_t>(ranks));
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    support::counting_communicator counting{comm};
    mixture m(matrices, r);
    auto views = m.views();
    if (!all) views = {views.begin() + 1, views.begin() + 1 + static_cast<std::ptrdiff_t>(matrices)};
    workspace<host_exec> ws{{1}};
    auto wrapper = x();
    allreduce({1}, counting, wrapper, views, ws, {.at = 1});
    sums[r] = counting.sums;
  });
  for (int const s : sums) CHECK(s == sums[0]);
  return sums[0];
}

}  // namespace

TEST_CASE("several tensors in one call of rounds give the bits of one call each") {
  support::watchdog const guard("rounds of several tensors");
  for (int const ranks : {1, 2, 3}) {
    check_feedback(power_sgd{.rank = 3}, ranks, reduction::mean, {});
    check_feedback(hadamard_rotate{.block = 64} | power_sgd{.rank = 2}, ranks, reduction::sum, {.decay = 0.75f});
    check_feedback(shared_scale_quantize<4>{.block = 64, .round = rounding::stochastic}, ranks, reduction::mean, {});
  }
  check_feedback(power_sgd{.rank = 4}, 3, reduction::sum, {.residual = element_type::bfloat16, .transactional = true});
  check_feedback(hadamard_rotate{.block = 64} | shared_scale_quantize<8>{}, 3, reduction::mean,
                 {.residual = element_type::bfloat16});
  check_alone(power_sgd{.rank = 4, .seed = 3}, 3);
  check_alone(hadamard_rotate{.block = 128} | power_sgd{.rank = 3}, 2);
  check_alone(shared_scale_quantize<8>{}, 3);
}

TEST_CASE("a call of rounds sends two messages, however many tensors it has") {
  auto const alone = [] { return power_sgd{.rank = 2}; };
  auto const set = [] { return error_feedback_set(power_sgd{.rank = 2}); };
  auto const codes = [] { return error_feedback_set(shared_scale_quantize<4>{}); };
  for (std::size_t const matrices : {1u, 5u, 20u})
    for (bool const all : {false, true}) {
      CHECK(messages(alone, matrices, all) == 2);
      CHECK(messages(set, matrices, all) == 2);
      CHECK(messages(codes, matrices, all) == 2);
    }
  CHECK(messages([] { return power_sgd{.rank = 1000}; }, 5, true) == 1);  // all are small: none has a Q
}

TEST_CASE("the bytes of a call of rounds are those of its messages") {
  std::size_t constexpr rows = 40, cols = 48, rank = 2, small = 30;
  thread_group group(3);
  group.run([&](thread_communicator& comm) {
    std::vector<float> a(rows * cols, 1.0f), b = a, c(small, 1.0f);
    std::vector<tensor_view> const views{{std::span(a), 1u}, {std::span(c), 2u}, {std::span(b), 3u}};
    workspace<host_exec> ws{{1}};
    auto const report = allreduce({1}, comm, power_sgd{.rank = rank}, views, ws, {.at = 1});
    std::size_t const first = 4 * (2 * rank * rows + small), second = 4 * 2 * rank * cols;
    CHECK(report.strategy == "rounds");
    CHECK(report.bytes_sent == 2 * 2 * first / 3 + 2 * 2 * second / 3);
    CHECK(report.payload_bytes == first + second + 8);  // payloads are multiples of 16 bytes
  });
}

TEST_CASE("what is not finite spoils its tensor only") {
  std::size_t constexpr ranks = 2, spoilt = 1;
  std::vector<mixture> with, without;
  for (std::size_t r = 0; r < ranks; ++r) without.emplace_back(4, r);
  with = without;
  bool kept[ranks] = {};
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    workspace<host_exec> ws{{1}};
    error_feedback_set bad(power_sgd{.rank = 3}), good(power_sgd{.rank = 3});
    auto const run = [&](error_feedback_set<power_sgd>& set, mixture& m, int t) {
      auto const views = m.views();
      allreduce({1}, comm, set, views, ws, {.at = t});
    };
    run(bad, with[r], 1);
    run(good, without[r], 1);
    auto const residual = bad.at(100 - spoilt, with[r].wide[spoilt].size()).residual_copy();
    with[r] = without[r] = mixture(4, r);
    if (r == 1) with[r].wide[spoilt][77] = support::quiet_nan;
    run(bad, with[r], 2);
    run(good, without[r], 2);
    kept[r] = bad.at(100 - spoilt, with[r].wide[spoilt].size()).residual_copy() == residual;
    for (auto const& [id, w] : good)
      if (id != 100 - spoilt) kept[r] = kept[r] && bad.at(id, w.size()).save() == w.save();
  });
  for (std::size_t r = 0; r < ranks; ++r) {
    for (float const v : with[r].wide[spoilt]) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    with[r].wide[spoilt] = without[r].wide[spoilt];
    CHECK(with[r] == without[r]);
    CHECK(kept[r]);
  }
}
