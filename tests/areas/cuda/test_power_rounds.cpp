// Stages with rounds of their own over several tensors on a (simulated) GPU: two messages, and the bits of one call each.
#include <support/counting.hpp>
#include <support/cuda/exec_steps.hpp>
#include <support/cuda/low_rank_inputs.hpp>
#include <support/float_bits.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/quantize/shared_scale.cuh>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <deque>

using namespace ccomp;
using support::device_array;
using support::same_bits;

namespace {

std::vector<std::size_t> const lengths{41 * 51 - 7, 3, 40 * 48, 0, 61, 1025, 64 * 64};

struct tensors_step {
  std::vector<support::per_rank<float>> out;  // of each rank, its tensors
  std::vector<support::per_rank<std::byte>> saved;
  std::vector<std::size_t> sent;
  std::vector<int> messages;
};

/// Two steps on all tensors: in one call each, or one call per tensor.
template <class Exec, class C>
tensors_step step_of_tensors(C const& c, int ranks, bool together, float poison = 0, feedback_options options = {}) {
  auto const w = static_cast<std::size_t>(ranks);
  tensors_step all{std::vector<support::per_rank<float>>(w), std::vector<support::per_rank<std::byte>>(w),
                   std::vector<std::size_t>(w), std::vector<int>(w)};
  thread_group group(ranks);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    support::place<Exec> const site;
    workspace<Exec> ws{site.ex};
    auto set = [&] {
      if constexpr (std::same_as<Exec, host_exec>)
        return error_feedback_set<C>(c, options);
      else
        return error_feedback_set<C, Exec>(c, site.ex, options);
    }();
    support::counting_communicator counting{comm};
    using tensor = typename support::place<Exec>::template tensor<float>;
    std::deque<tensor> x;  // none moves
    for (int t = 0; t < 2; ++t) {
      x.clear();
      for (std::size_t const n : lengths) {
        auto values = support::low_rank_inputs<float>(ranks, n, n == 64 * 64 ? 64 : 48)[r];
        if (poison != 0 && r == 1 && t == 1 && n == lengths[2]) values[9] = poison;
        x.emplace_back(values);
      }
      std::vector<tensor_view> views;
      for (std::size_t i = 0; i < x.size(); ++i) views.emplace_back(std::span(x[i].data(), x[i].size()), i + 5);
      auto const run = [&](std::span<tensor_view const> of) {
        all.sent[r] += allreduce(site.ex, counting, set, of, ws, {.at = t}).bytes_sent;
      };
      if (together)
        run(views);
      else
        for (auto const& view : views) run({&view, 1});
    }
    all.messages[r] = counting.sums;
    for (auto const& each : x) all.out[r].push_back(site.template values<float>(each));
    for (auto const& [id, wrapper] : set) all.saved[r].push_back(wrapper.save());
  });
  return all;
}

template <class C> constexpr bool power_like = std::same_as<typename detail::last_stage<C>::type, power_sgd>;

template <class C> void check_tensors(C const& c, int ranks, float poison = 0, feedback_options options = {}) {
  CAPTURE(text(c));
  auto const together = step_of_tensors<cuda_exec>(c, ranks, true, poison, options);
  auto const apart = step_of_tensors<cuda_exec>(c, ranks, false, poison, options);
  auto const host = step_of_tensors<host_exec>(c, ranks, true, poison, options);
  for (std::size_t r = 0; r < together.out.size(); ++r) {
    CHECK(same_bits(together.out[r], together.out[0]));
    CHECK(same_bits(together.out[r], apart.out[r]));
    CHECK(together.saved[r] == apart.saved[r]);
    CHECK(together.messages[r] == 2 * 2);
    CHECK(host.messages[r] == 2 * 2);
  }
  if constexpr (power_like<C>) {
    CHECK(together.sent == host.sent);
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      bool const spoilt = poison != 0 && i == 2;
      for (float const v : together.out[0][i]) REQUIRE(std::isfinite(v) != spoilt);
      if (!spoilt && lengths[i] > 0) CHECK(support::distance(together.out[0][i], host.out[0][i]) < 1e-5);
    }
  } else {
    CHECK(same_bits(together.out[0], host.out[0]));
    CHECK(together.saved == host.saved);
  }
}

}  // namespace

TEST_CASE("cuda rounds: several tensors take two messages, and have the bits of one call each") {
  support::watchdog const guard("cuda rounds of several tensors", std::chrono::seconds(240));
  check_tensors(power_sgd{.rank = 3}, 3);
  check_tensors(hadamard_rotate{.block = 64} | power_sgd{.rank = 2}, 2, 0, {.decay = 0.5f});
  for (int const ranks : {1, 2, 3}) check_tensors(shared_scale_quantize<8>{.block = 64}, ranks);  // 8 and 16 bits
  check_tensors(hadamard_rotate{.block = 64} | shared_scale_quantize<4>{.block = 32, .round = rounding::stochastic}, 2,
                0, {.residual = element_type::bfloat16});
}

TEST_CASE("cuda rounds: what is not finite spoils its tensor only") {
  check_tensors(power_sgd{.rank = 3}, 2, support::quiet_nan);
  check_tensors(power_sgd{.rank = 3}, 2, support::inf);
}

TEST_CASE("cuda rounds: half steps with a wrapper are refused before anything is sent; without one they are whole") {
  std::size_t constexpr n = 40 * 48;
  power_sgd const whole{.rank = 3}, halved{.rank = 3, .half_steps = true};
  auto const in = support::low_rank_inputs<float>(2, n, 48);
  std::vector<int> sums(2);
  thread_group group(2);
  group.run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    support::counting_communicator counting{comm};
    support::place<cuda_exec> const site;
    workspace<cuda_exec> ws{site.ex};
    error_feedback<power_sgd, cuda_exec> wrapper(halved, n, site.ex);
    device_array<float> const x(in[r]);
    CHECK_THROWS_WITH_AS(allreduce(site.ex, counting, wrapper, std::span(x.data(), n), ws, {.at = 1}),
                         doctest::Contains("half_steps runs on the host only"), invalid_argument);
    sums[r] = counting.sums;
    CHECK(wrapper.valid());
    CHECK(same_bits(site.values<float>(x), in[r]));
  });
  CHECK(sums == std::vector<int>{0, 0});
  support::step_options const alone{.feedback = false};
  CHECK(same_bits(support::on_gpu_ranks<float>(halved, n, 2, 1, support::constantly(in), alone).out,
                  support::on_gpu_ranks<float>(whole, n, 2, 1, support::constantly(in), alone).out));
}
