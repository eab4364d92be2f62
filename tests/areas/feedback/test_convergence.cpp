#include <support/feedback.hpp>

#include <doctest/doctest.h>

using support::erase;
using support::erased;
using support::feedback_run;
using support::how;
using support::schedule;

namespace {

std::vector<schedule> schedules() {
  std::vector<schedule> list{
      {"gather", [](int) { return how::gather; }},
      {"two_shot", [](int) { return how::two_shot; }},
      {"alternating", [](int t) { return t % 2 == 0 ? how::gather : how::two_shot; }},
      {"two_shot in runs of five", [](int t) { return t / 5 % 2 == 0 ? how::two_shot : how::gather; }},
      {"every third step", [](int) { return how::two_shot; }, [](int t) { return 3 * static_cast<std::uint64_t>(t); }},
      {"steps at random", [](int t) { return t % 3 == 0 ? how::gather : how::two_shot; },
       [](int t) {
         return 1000u * static_cast<std::uint64_t>(t) + 1000000007u * static_cast<std::uint64_t>(t) % 997u;
       }},
      {"automatic", [](int) { return how::automatic; }}};
  return list;
}

struct subject {
  erased c;
  bool exact_without = false;  // its error is no bias, or too small to measure: nothing to compare with
};
std::vector<subject> subjects() {
  using namespace ccomp;
  return {{erase(uniform_quantize<4>{})},
          {erase(uniform_quantize<2>{.block = 64})},
          {erase(uniform_quantize<4>{.round = rounding::stochastic}), true},
          {erase(uniform_quantize<3>{.round = rounding::stochastic, .range = code_range::min_max}), true},
          {erase(sign_quantize{.block = 32})},
          {erase(cast<fp8_e4m3>{})},
          {erase(cast<bfloat16>{})},
          {erase(cast<float16>{})},
          {erase(hadamard_rotate{.seed = 5} | uniform_quantize<3>{})},
          {erase(top_k{.ratio = 0.1})},
          {erase(top_k{.ratio = 0.1} | uniform_quantize<4>{})},
          {erase(top_k{.ratio = 0.2} | uniform_quantize<8>{.round = rounding::stochastic})}};
}

/// T times 4, and times 16: the error falls by nearly as much (it also swings a little with T).
void check_decay(std::string const& who, std::vector<double> const& e) {
  CAPTURE(who);
  CAPTURE(e[0]);
  CAPTURE(e[1]);
  CAPTURE(e[2]);
  CHECK(e[1] <= e[0] / 4 * 3 + 1e-7);
  CHECK(e[2] <= e[0] / 16 * 2.5 + 1e-7);
}

}  // namespace

TEST_CASE("the mean of T outputs for a constant gradient converges as 1/T, under every strategy and schedule") {
  support::watchdog const guard("1/T", std::chrono::seconds(300));
  for (auto const& s : subjects())
    for (int const ranks : {2, 3, 7})
      for (auto const& calls : schedules()) {
        if (ranks == 2 && calls.name != "two_shot") continue;
        auto const e = support::running_errors({.ranks = ranks, .c = s.c, .calls = calls}, 3000, {16, 64, 256});
        check_decay(s.c.text() + " on " + std::to_string(ranks) + ", " + calls.name, e);
      }
}
TEST_CASE("without feedback the same runs do not converge: the test above can tell") {
  using namespace ccomp;
  for (auto const& s : subjects()) {
    if (s.exact_without) continue;
    thread_group group(3);
    auto const g = support::gradients(3, 3000);
    auto const want = support::exact_sum(g);
    auto const one = support::allreduce_all(group, how::two_shot, s.c, g, {.op = reduction::sum, .at = 0}).out[0];
    std::vector<double> off(3000);
    for (std::size_t i = 0; i < 3000; ++i) off[i] = double(one[i]) - want[i];
    double const biased = support::norm(off) / support::norm(want);  // the same in every step
    auto const e = support::running_errors(
        {.c = s.c, .calls = {"two_shot", [](int) { return how::two_shot; }}, .op = reduction::sum}, 3000, {256});
    CAPTURE(s.c.text());
    CHECK(e[0] < biased / 10);
  }
}
TEST_CASE("sparse carriers of float32 keep 1/T in flight, too") {
  for (int const ranks : {2, 3, 7})
    for (schedule const& calls : {schedule{"in_flight", [](int) { return how::in_flight; }},
                                  schedule{"automatic", [](int) { return how::automatic; }},
                                  schedule{"all three", [](int t) { return static_cast<how>(1 + t % 3); }}}) {
      auto const e = support::running_errors(
          {.ranks = ranks, .c = erase(ccomp::random_k{.ratio = 0.25}), .calls = calls}, 2000, {64, 256, 1024});
      check_decay("random_k, " + calls.name, e);
    }
}
TEST_CASE("casts that are asked to be summed in flight: the error ends at one rounding of the sum, and never grows") {
  for (int const ranks : {2, 3, 7}) {
    schedule const flight{"in_flight", [](int) { return how::in_flight; }};
    auto const wide = support::running_errors(
        {.ranks = ranks, .c = erase(ccomp::cast<ccomp::float16>{}), .calls = flight}, 3000, {1, 64, 256});
    for (double const e : wide) CHECK(e < 0x1p-10);
    auto const brain = support::running_errors(
        {.ranks = ranks, .c = erase(ccomp::cast<ccomp::bfloat16>{}), .calls = flight}, 3000, {1, 64, 256});
    for (double const e : brain) CHECK(e < 0x1p-8);
  }
}
TEST_CASE("one rank, and thousands of steps") {
  for (auto const h : {how::gather, how::two_shot}) {
    auto const e = support::running_errors(
        {.ranks = 1, .c = erase(ccomp::uniform_quantize<3>{}), .calls = {"one rank", [h](int) { return h; }}}, 700,
        {64, 1024, 4096});
    CHECK(e[1] <= e[0] / 16 * 2 + 1e-7);
    CHECK(e[2] <= e[1] / 4 * 2 + 1e-7);
  }
}
TEST_CASE("a bfloat16 residual does not stall") {
  support::watchdog const guard("bfloat16 residual");
  // Round to nearest ends at 2^-9 of the residual's size, whatever T; stochastic rounding goes on.
  for (auto const h : {how::gather, how::two_shot})
    for (auto const& c : {erase(ccomp::uniform_quantize<3>{}), erase(ccomp::sign_quantize{}),
                          erase(ccomp::top_k{.ratio = 0.1} | ccomp::uniform_quantize<4>{})}) {
      feedback_run run{.ranks = 3, .c = c, .calls = {"constant", [h](int) { return h; }}};
      auto const wide = support::running_errors(run, 1000, {64, 512, 4096});
      run.options.residual = ccomp::element_type::bfloat16;
      auto const narrow = support::running_errors(run, 1000, {64, 512, 4096});
      CAPTURE(c.text());
      CAPTURE(support::name_of(h));
      for (std::size_t i = 0; i < 3; ++i) CHECK(narrow[i] < 1.5 * wide[i] + 1e-7);
    }
}
TEST_CASE("with decay below 1 the error stays bounded, and falls as decay approaches 1") {
  double last = 1e9;
  for (float const decay : {0.5f, 0.9f, 0.99f, 1.0f}) {
    auto const e = support::running_errors({.c = erase(ccomp::uniform_quantize<3>{}),
                                            .options = {.decay = decay},
                                            .calls = {"two_shot", [](int) { return how::two_shot; }}},
                                           2000, {256});
    CAPTURE(decay);
    CHECK(e[0] < last);
    last = e[0];
  }
}
