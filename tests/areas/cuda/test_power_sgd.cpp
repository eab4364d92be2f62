// power_sgd on a (simulated) GPU, over (simulated) cuBLAS: close to the host, the same bits on every rank.
#include <support/cuda/exec_steps.hpp>
#include <support/cuda/low_rank_inputs.hpp>
#include <support/float_bits.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::constantly;
using support::device_array;
using support::distance;
using support::low_rank_inputs;
using support::same_bits;
using support::step_options;
using support::widened;

namespace {

template <class T = float, class C, class Strategy = automatic>
void check_factors(C const& c, int ranks, std::size_t n, std::size_t cols, step_options const& o = {},
                   double allowed = 1e-5, Strategy strategy = {}) {
  CAPTURE(text(c));
  CAPTURE(ranks);
  CAPTURE(n);
  auto const in = low_rank_inputs<T>(ranks, n, cols);
  int const steps = o.feedback ? 2 : 1;
  auto const device = support::steps_on<cuda_exec, T>(c, n, ranks, steps, constantly(in), o, strategy);
  auto const host = support::steps_on<host_exec, T>(c, n, ranks, steps, constantly(in), o, strategy);
  CHECK(support::all_same(device.out));
  CHECK(device.sent == host.sent);
  CHECK(distance(widened(device.out[0]), widened(host.out[0])) < allowed);
  for (std::size_t r = 0; o.feedback && r < in.size(); ++r) {
    // The residual is a small difference of large numbers: its error is measured by them.
    std::vector<float> moved(n);
    auto const x = widened(in[r]);
    for (std::size_t i = 0; i < n; ++i) moved[i] = x[i] + device.residual[r][i] - host.residual[r][i];
    CHECK(distance(moved, x) < (o.wrapper.residual == element_type::float32 ? allowed : 1e-2));
  }
}

/// Columns [rank] of a tall matrix [rows], on the device and back.
std::vector<float> orthonormal(std::vector<float> const& columns, std::size_t rows, std::uint32_t rank,
                               unsigned* is_bad = nullptr) {
  cuda_exec const ex;
  device_array<float> const p(columns);
  device_array<unsigned> const bad(std::vector<unsigned>(1));
  device_array<std::byte> const memory(detail::orthonormal_scratch_bytes(rows, rank));
  detail::scratch room({memory.data(), memory.size()});
  detail::orthonormalise(ex, p.data(), rows, rank, bad.data(), room);
  ex.synchronize();
  if (is_bad) *is_bad = bad.values()[0];
  return p.values();
}

}  // namespace

TEST_CASE("cuda power_sgd: columns become orthonormal and span what they spanned") {
  support::watchdog const guard("cuda orthonormal", std::chrono::seconds(240));
  struct shape {
    std::size_t rows;
    std::uint32_t rank;
  };
  // One slab, as square as can be; several; more columns than warps; slabs on two levels.
  for (shape const s : {shape{1, 1}, {5, 5}, {700, 1}, {1024, 3}, {5001, 4}, {1100, 37}, {140000, 4}}) {
    auto const rows = s.rows;
    auto const rank = s.rank;
    CAPTURE(rows);
    CAPTURE(rank);
    for (bool const dependent : {false, true}) {
      auto p = support::gaussian_values(rows * rank, rank + 5);
      if (dependent && rank > 2)  // one column twice, one of zeros
        for (std::size_t i = 0; i < rows; ++i) {
          p[i * rank + 1] = 3 * p[i * rank];
          p[i * rank + 2] = 0;
        }
      auto const q = orthonormal(p, rows, rank);
      double off = 0, lost = 0, size = 0;
      std::vector<double> along(rank * rank);
      for (std::size_t a = 0; a < rank; ++a)
        for (std::size_t b = 0; b < rank; ++b) {
          double dot = 0, of_p = 0;
          for (std::size_t i = 0; i < rows; ++i) {
            auto const q_a = static_cast<double>(q[i * rank + a]);
            dot += q_a * static_cast<double>(q[i * rank + b]);
            of_p += q_a * static_cast<double>(p[i * rank + b]);
          }
          off = std::max(off, std::abs(dot - (a == b ? 1 : 0)));
          along[a * rank + b] = of_p;
        }
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t b = 0; b < rank; ++b) {
          auto rest = static_cast<double>(p[i * rank + b]);
          size += rest * rest;
          for (std::size_t a = 0; a < rank; ++a) rest -= static_cast<double>(q[i * rank + a]) * along[a * rank + b];
          lost += rest * rest;
        }
      CHECK(off < 3e-7);
      CHECK(std::sqrt(lost / size) < 3e-7);
    }
  }
  auto p = support::gaussian_values(2000 * 3, 1);
  unsigned bad = 0;
  orthonormal(p, 2000, 3, &bad);
  CHECK(bad == 0);
  p[1999 * 3] = support::inf;
  orthonormal(p, 2000, 3, &bad);
  CHECK(bad == 1);
}

TEST_CASE("cuda power_sgd: close to the host, the same bits on every rank") {
  support::watchdog const guard("cuda power_sgd", std::chrono::seconds(240));
  for (int const ranks : {1, 2, 3, 4}) check_factors(power_sgd{.rank = 3, .rows = 30}, ranks, 30 * 32, 32);
  check_factors(power_sgd{.rank = 4}, 2, 5003, 80);                     // the last row is short
  check_factors(power_sgd{.rank = 1, .rows = 40}, 2, 40 * 37 - 5, 37);  // rows of odd length
  check_factors(power_sgd{.rank = 7, .rows = 30}, 2, 30 * 64, 64, {.feedback = false}, 1e-4);
  check_factors(power_sgd{.rank = 3, .rows = 41}, 2, 41 * 51 - 7, 51, {.feedback = false},
                1e-4);  // M is the tensor, but for its end
  check_factors(power_sgd{.rank = 2, .rows = 1100}, 2, 1100 * 10, 10,
                {.op = reduction::sum, .wrapper = {.decay = 0.5f}});
}

TEST_CASE("cuda power_sgd: behind transforms, other types") {
  check_factors(hadamard_rotate{.block = 64} | power_sgd{.rank = 3, .rows = 64}, 2, 64 * 64, 64);
  check_factors(hadamard_rotate{.block = 128} | power_sgd{.rank = 3, .rows = 41}, 2, 41 * 51 - 7, 51,
                {.feedback = false}, 1e-4);
  check_factors(power_sgd{.rank = 3}, 2, 3001, 64, {.wrapper = {.residual = element_type::bfloat16}}, 1e-2);
  check_factors<bfloat16>(power_sgd{.rank = 3, .rows = 50}, 2, 2000, 40, {}, 1e-2);
  check_factors<float16>(power_sgd{.rank = 3, .rows = 50}, 2, 2000, 40, {.feedback = false}, 1e-3);
}

TEST_CASE("cuda power_sgd: gather and two_shot") {
  support::watchdog const guard("cuda power_sgd strategies", std::chrono::seconds(240));
  power_sgd const c{.rank = 3, .rows = 30};
  check_factors(c, 3, 30 * 64, 64, {}, 1e-4, gather{});
  check_factors(c, 2, 60 * 64 - 5, 64, {.op = reduction::sum, .feedback = false}, 1e-4, two_shot{});
  check_factors<bfloat16>(c, 2, 60 * 64, 64, {}, 2e-2, two_shot{});
  check_factors(hadamard_rotate{.block = 64} | c, 2, 30 * 64, 64, {.wrapper = {.residual = element_type::bfloat16}},
                1e-3, gather{});
}

TEST_CASE("cuda power_sgd: small tensors are sent as they are, with the host's bits") {
  for (std::size_t const n : {0u, 1u, 60u})
    for (auto const residual : {element_type::float32, element_type::bfloat16}) {
      CAPTURE(n);
      auto in = support::gradients(2, n);
      if (n > 7) in[1][7] = support::quiet_nan;
      step_options const o{.wrapper = {.residual = residual, .decay = 0.5f}};
      auto const c = hadamard_rotate{.block = 32} | power_sgd{};
      auto const device = support::on_gpu_ranks<float>(c, n, 2, 2, constantly(in), o);
      auto const host = support::on_host_ranks<float>(c, n, 2, 2, constantly(in), o);
      CHECK(same_bits(device.out, host.out));
      CHECK(same_bits(device.residual, host.residual));
      CHECK(device.sent == host.sent);
    }
}

TEST_CASE("cuda power_sgd: what is not finite on one rank makes the tensor NaN on all, and changes nothing else") {
  support::watchdog const guard("cuda power_sgd NaN", std::chrono::seconds(240));
  std::size_t const n = 40 * 50 - 3;
  auto const in = low_rank_inputs<float>(2, n, 50);
  power_sgd const c{.rank = 2, .rows = 40};
  auto const before = support::on_gpu_ranks<float>(c, n, 2, 1, constantly(in));
  // 1e37 is finite, but the factor Q is not to be multiplied any more.
  for (float const poison : {support::quiet_nan, -support::inf, 1e37f}) {
    CAPTURE(poison);
    support::inputs_of<float> const brings = [&](int r, int t) {
      auto x = in[static_cast<std::size_t>(r)];
      if (r == 1 && t == 1) x[n - 1] = poison;
      return x;
    };
    auto const after = support::on_gpu_ranks<float>(c, n, 2, 2, brings);
    for (auto const& row : after.out)
      for (float const v : row) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    // Residual and warm start, behind what says which step was last.
    for (std::size_t r = 0; r < 2; ++r)
      CHECK(std::equal(after.saved[r].begin() + 80, after.saved[r].end(), before.saved[r].begin() + 80,
                       before.saved[r].end()));
  }
}

TEST_CASE("cuda power_sgd: a start that vanished is drawn anew, with the host's bits") {
  power_sgd const c{.rank = 3, .rows = 50, .seed = 11};
  std::size_t const n = 50 * 43;
  support::per_rank<float> const zero(2, std::vector<float>(n));
  auto const device = support::on_gpu_ranks<float>(c, n, 2, 1, constantly(zero), {.first = 0});
  auto const fresh = error_feedback(c, n).save();  // drawn for step 0 and tensor 0, too
  CHECK(std::equal(device.saved[1].begin() + 80, device.saved[1].end(), fresh.begin() + 80, fresh.end()));
  for (float const v : device.out[0]) REQUIRE(v == 0.0f);
}

TEST_CASE("cuda power_sgd: with feedback the mean of the outputs converges as 1/T") {
  support::watchdog const guard("cuda power_sgd feedback", std::chrono::seconds(240));
  std::size_t const n = 24 * 32;
  auto in = support::per_rank<float>(2, support::gaussian_values(n, 3));
  for (std::size_t i = 0; i < n; ++i) in[1][i] *= 1.5f;
  auto const want = support::exact_sum(in);
  std::vector<double> sum(n), errors;
  support::on_gpu_ranks<float>(power_sgd{.rank = 4, .rows = 24}, n, 2, 32, constantly(in), {.op = reduction::sum},
                               [&](int t, std::vector<float> const& out) {
                                 std::vector<double> error(n);
                                 for (std::size_t i = 0; i < n; ++i)
                                   error[i] = (sum[i] += static_cast<double>(out[i])) / (t + 1) - want[i];
                                 errors.push_back(support::norm(error) / support::norm(want));
                               });
  CHECK(errors[0] > 0.02);
  CHECK(errors[31] < 0.3 * errors[7]);  // a quarter, if it falls as 1/T
}
