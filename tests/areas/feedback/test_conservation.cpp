#include <support/codec.hpp>
#include <support/feedback.hpp>
#include <support/float_bits.hpp>

#include <doctest/doctest.h>

using support::erase;
using support::erased;
using support::feedback_run;
using support::how;
using support::per_rank;

namespace {

std::vector<erased> compressors() {
  using namespace ccomp;
  return {erase(uniform_quantize<8>{}),
          erase(uniform_quantize<2>{.block = 32}),
          erase(uniform_quantize<4>{.round = rounding::stochastic}),
          erase(uniform_quantize<3>{.round = rounding::stochastic, .range = code_range::min_max}),
          erase(sign_quantize{}),
          erase(cast<bfloat16>{}),
          erase(cast<float16>{}),
          erase(cast<fp8_e5m2>{}),
          erase(hadamard_rotate{.seed = 5} | uniform_quantize<4>{}),
          erase(random_k{.ratio = 0.2}),
          erase(top_k{.ratio = 0.05}),
          erase(top_k{.ratio = 0.05} | uniform_quantize<4>{}),
          erase(top_k{.ratio = 0.1} | uniform_quantize<3>{.round = rounding::stochastic}),
          erase(hadamard_rotate{.seed = 5} | top_k{.ratio = 0.1} | uniform_quantize<8>{})};
}

/// Over ranks: decay times the residuals before + the inputs = the sum that came out + the residuals after. Returns the
/// largest violation in units of `unit` times the largest magnitude among the `span` values around.
double violation(per_rank<float> const& before, float decay, per_rank<float> const& in, std::vector<float> const& sum,
                 per_rank<float> const& after, double unit, std::size_t span = 1) {
  double worst = 0;
  for (std::size_t first = 0; first < sum.size(); first += span) {
    double off = 0, most = 0;
    for (std::size_t i = first; i < std::min(first + span, sum.size()); ++i) {
      double balance = -double(sum[i]), size = std::abs(double(sum[i]));
      for (std::size_t r = 0; r < in.size(); ++r) {
        double const old = double(decay) * double(before[r][i]);
        balance += old + double(in[r][i]) - double(after[r][i]);
        size += std::abs(old) + std::abs(double(in[r][i])) + std::abs(double(after[r][i]));
      }
      off = std::max(off, std::abs(balance));
      most = std::max(most, size);
    }
    worst = std::max(worst, most > 0 ? off / (most * unit) : off > 0 ? 1e30 : 0);
  }
  return worst;
}

/// Gradients that change from step to step.
std::vector<float> gradient_of(int rank, int t, std::size_t n) {
  return support::gradients(rank + 1, n, static_cast<std::uint64_t>(t) + 1).back();
}

}  // namespace

TEST_CASE("nothing is lost: inputs and old residuals are the sum and the new residuals, in every step") {
  support::watchdog const guard("conservation", std::chrono::seconds(300));
  for (auto const& c : compressors())
    for (int const ranks : {1, 2, 3, 7})
      for (how const h : {how::gather, how::two_shot, how::in_flight}) {
        if (h == how::in_flight && !ccomp::detail::is_linear(c.stages())) continue;
        for (float const decay : {1.0f, 0.75f}) {
          if (decay < 1 && ranks != 3) continue;
          for (std::size_t const n : {std::size_t{1}, std::size_t{3001}}) {
            feedback_run run{.ranks = ranks,
                             .c = c,
                             .options = {.decay = decay},
                             .calls = {"one", [h](int) { return h; }},
                             .op = ccomp::reduction::sum};
            per_rank<float> before(static_cast<std::size_t>(ranks), std::vector<float>(n));
            bool ranks_agree = true, some_left = false;
            double worst = 0;
            // A cast rounds the sum in flight, and nobody keeps that error; a rotation spreads rounding over its block.
            double unit = 0x1p-21;
            if (h == how::in_flight && c.text().find("cast") != std::string::npos)
              unit = c.text().find("bfloat16") != std::string::npos ? 0x1p-9 : 0x1p-12;
            std::size_t const span = c.text().find("hadamard") != std::string::npos || h == how::in_flight ? 1024 : 1;
            run(
                6, [&](int r, int t) { return gradient_of(r, t, n); },
                [&](int, auto const& in, auto const& out, auto const& after) {
                  ranks_agree = ranks_agree && support::all_same(out);
                  worst = std::max(worst, violation(before, decay, in, out[0], after, unit, span));
                  for (auto const& row : after)
                    for (float const v : row) some_left = some_left || v != 0;
                  before = after;
                });
            CAPTURE(c.text());
            CAPTURE(ranks);
            CAPTURE(n);
            CAPTURE(support::name_of(h));
            CAPTURE(decay);
            CHECK(ranks_agree);
            CHECK(worst <= 8);
            if (n > 1) CHECK(some_left);
          }
        }
      }
}
TEST_CASE("bfloat16 residuals conserve up to their own rounding") {
  for (how const h : {how::gather, how::two_shot}) {
    auto const c = erase(ccomp::uniform_quantize<3>{});
    feedback_run run{.ranks = 3,
                     .c = c,
                     .options = {.residual = ccomp::element_type::bfloat16},
                     .calls = {"one", [h](int) { return h; }},
                     .op = ccomp::reduction::sum};
    std::size_t const n = 3001;
    per_rank<float> before(3, std::vector<float>(n));
    double worst = 0, size = 0;
    run(
        20, [&](int r, int t) { return gradient_of(r, t, n); },
        [&](int, auto const& in, auto const& out, auto const& after) {
          worst = std::max(worst, violation(before, 1, in, out[0], after, 0x1p-7));
          for (auto const& row : after)
            for (float const v : row) {
              REQUIRE(static_cast<float>(ccomp::bfloat16(v)) == v);
              size += std::abs(double(v));
            }
          before = after;
        });
    CHECK(worst <= 2);
    CHECK(size > 0);
  }
}
TEST_CASE("the error of two_shot's second rounding is with the owner of the chunk, and with no other rank") {
  // 3 ranks, chunks of 512. All ranks bring values that 8 bits hold exactly, so nothing is left of the first rounding.
  ccomp::uniform_quantize<8> const c{.block = 256};
  std::size_t const n = 1536;
  per_rank<float> x(3, std::vector<float>(n)), rest(3);
  support::generator g(7);
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t i = 0; i < n; ++i)
      x[r][i] = i % 256 == 0 ? 127.0f : static_cast<float>(static_cast<int>(g.next() % 255) - 127);
  ccomp::thread_group group(3);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::workspace<ccomp::host_exec> ws;
    ccomp::error_feedback ef{c, n};
    auto out = x[r];
    ccomp::allreduce({1}, comm, ef, out, ws, {.op = ccomp::reduction::mean}, ccomp::two_shot{});
    rest[r] = ef.residual_copy();
  });
  for (std::size_t r = 0; r < 3; ++r) {
    std::size_t own = 0, foreign = 0;
    for (std::size_t i = 0; i < n; ++i) (i / 512 == r ? own : foreign) += rest[r][i] != 0;
    CHECK(own > 100);
    CHECK(foreign == 0);
    // In units of the sum, before the division by the number of ranks.
    auto const sum = support::exact_sum(x);
    std::vector<float> chunk(512);
    for (std::size_t i = 0; i < 512; ++i) chunk[i] = static_cast<float>(sum[r * 512 + i]);
    auto const back = support::round_trip(c, chunk);
    for (std::size_t i = 0; i < 512; ++i) REQUIRE(rest[r][r * 512 + i] == chunk[i] - back[i]);
  }
}
TEST_CASE("a gradient that is not finite spoils its block for one step; residuals and later steps stay sound") {
  support::watchdog const guard("not finite", std::chrono::seconds(300));
  constexpr std::size_t n = 3000;
  constexpr int bad_step = 4;
  for (auto const& c : compressors())
    for (how const h : {how::gather, how::two_shot, how::in_flight}) {
      if (h == how::in_flight && !ccomp::detail::is_linear(c.stages())) continue;
      for (auto const residual : {ccomp::element_type::float32, ccomp::element_type::bfloat16})
        for (float const bad : {support::quiet_nan, support::inf, -3e38f}) {
          bool const overflow = std::isfinite(bad);  // finite itself, but with its residual it is not
          CAPTURE(c.text());
          CAPTURE(support::name_of(h));
          CAPTURE(bad);
          bool const sparse = c.text().find("_k(") != std::string::npos;
          feedback_run run{.ranks = 3,
                           .c = c,
                           .options = {.residual = residual},
                           .calls = {"one", [h](int) { return h; }},
                           .op = ccomp::reduction::sum};
          auto const g = support::gradients(3, n, 3);
          per_rank<float> before;
          bool finite_rest = true, agree = true, seen = false, later_finite = true;
          std::size_t spoiled = 0, changed_in_spoiled = 0;
          run(
              10,
              [&](int r, int t) {
                auto x = g[static_cast<std::size_t>(r)];
                if (r == 1 && t == bad_step) x[1000] = bad;
                return x;
              },
              [&](int t, auto const& in, auto const& out, auto const& after) {
                agree = agree && support::all_same(out);
                for (auto const& row : after) finite_rest = finite_rest && support::all_finite(row);
                if (t == bad_step && !overflow) {
                  seen = !std::isfinite(out[0][1000]);
                  for (std::size_t i = 0; i < n; ++i)
                    if (!std::isfinite(out[0][i])) {
                      ++spoiled;
                      // A sparsifier keeps what it could not send; the place of the bad value itself stays as it was.
                      bool const kept = sparse && i != 1000 && after[1][i] == before[1][i] + in[1][i];
                      changed_in_spoiled += !kept && std::bit_cast<std::uint32_t>(after[1][i]) !=
                                                         std::bit_cast<std::uint32_t>(before[1][i]);
                    }
                }
                if (t > bad_step + (overflow ? 6 : 0)) later_finite = later_finite && support::all_finite(out[0]);
                before = after;
              });
          CHECK(agree);
          CHECK(finite_rest);
          CHECK(later_finite);
          if (overflow) continue;
          // A value that random_k does not draw is not sent, be it what it may.
          if (c.text().find("random") == std::string::npos) CHECK(seen);
          CHECK(spoiled <= 2048);
          if (residual == ccomp::element_type::float32) CHECK(changed_in_spoiled == 0);
        }
    }
}
TEST_CASE("after a step with NaN the mean of the sound steps still converges") {
  for (how const h : {how::gather, how::two_shot}) {
    auto const c = erase(ccomp::uniform_quantize<4>{});
    auto const g = support::gradients(3, 2000, 3);
    auto const want = support::exact_sum(g);
    feedback_run run{.ranks = 3, .c = c, .calls = {"one", [h](int) { return h; }}, .op = ccomp::reduction::sum};
    std::vector<double> sum(2000);
    run(
        257,
        [&](int r, int t) {
          auto x = g[static_cast<std::size_t>(r)];
          if (t == 0) x[static_cast<std::size_t>(100 * r)] = support::inf;
          return x;
        },
        [&](int t, auto const&, auto const& out, auto const&) {
          for (std::size_t i = 0; t > 0 && i < 2000; ++i) sum[i] += double(out[0][i]) / 256;
        });
    for (std::size_t i = 0; i < 2000; ++i) sum[i] -= want[i];
    CHECK(support::norm(sum) < 0.004 * support::norm(want));
  }
}
TEST_CASE("residuals do not depend on threads or instruction set") {
  for (auto const& c : compressors())
    for (how const h : {how::gather, how::two_shot})
      for (auto const type : {ccomp::element_type::float32, ccomp::element_type::bfloat16}) {
        auto final_rest = [&](ccomp::host_exec ex) {
          per_rank<float> rest;
          feedback_run run{.ranks = 2,
                           .c = c,
                           .options = {.residual = type, .decay = 0.9f},
                           .calls = {"one", [h](int) { return h; }},
                           .ex = ex};
          run(
              3, [&](int r, int t) { return gradient_of(r, t, 20001); },
              [&](int, auto const&, auto const&, auto const& after) { rest = after; });
          return rest;
        };
        auto const want = final_rest({1, ccomp::instruction_set::baseline});
        CAPTURE(c.text());
        CAPTURE(support::name_of(h));
        for (auto const isa : support::instruction_sets())
          for (int const threads : {1, 7}) {
            auto const got = final_rest({threads, isa});
            for (std::size_t r = 0; r < 2; ++r) CHECK(support::same_bits(got[r], want[r]));
          }
      }
}
