#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/generators.hpp>

#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace ccomp;

namespace {

template <class F> void for_each_compressor(F const& f) {
  f(top_k{.ratio = 0.02});
  f(top_k{.ratio = 0.02, .indices = index_coding::raw} | uniform_quantize<8>{});
  f(threshold{.value = 2e-3f, .capacity_ratio = 0.2});
  f(threshold{.relative = 1, .capacity_ratio = 0.02});
  f(random_k{.ratio = 0.02});
  f(random_block{.ratio = 0.02, .blocks = 4} | uniform_quantize<4>{});
}

}  // namespace

TEST_CASE("sparse feedback: residual + decoded is input + old residual") {
  constexpr std::size_t n = 70001;
  for_each_compressor([](auto const& c) {
    CAPTURE(text(c));
    auto const x = support::heavy_tailed_values(n, 1), old = support::heavy_tailed_values(n, 2);
    for (auto const& ex : {host_exec{1}, host_exec{2}, host_exec{7, instruction_set::baseline}}) {
      auto residual = old;
      support::payload_buffer payload(payload_bytes<float>(c, n));
      workspace<host_exec> ws{ex};
      std::size_t const used = encode_feedback(ex, c, x, std::span<float>(residual), payload, ws, {.at = 3});
      CHECK(payload.intact());
      auto const back = support::decoded(c, payload.bytes().first(used), n, {.at = 3});
      bool conserved = true;
      std::size_t sent = 0;
      for (std::size_t i = 0; i < n; ++i) {
        float const whole = detail::add(old[i], x[i]);
        sent += back[i] != 0;
        conserved = conserved && residual[i] == detail::sub(whole, back[i]);
      }
      CHECK(conserved);
      CHECK(sent > 100);
    }
  });
}

TEST_CASE("sparse feedback: no NaN or Inf enters the residual, and the others go on") {
  constexpr std::size_t n = 20000;
  for_each_compressor([](auto const& c) {
    CAPTURE(text(c));
    auto x = support::gaussian_values(n, 1, 1e-2);
    for (std::size_t i = 5000; i < 5300; i += 3) x[i] = support::quiet_nan;
    x[12] = support::inf;
    x[19999] = -support::inf;
    auto const old = support::gaussian_values(n, 2, 1e-3);
    auto residual = old;
    support::payload_buffer payload(payload_bytes<float>(c, n));
    workspace<host_exec> ws{host_exec{2}};
    encode_feedback(host_exec{2}, c, x, std::span<float>(residual), payload, ws, {.at = 3});
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(std::isfinite(residual[i]));
      if (!std::isfinite(x[i])) CHECK(residual[i] == old[i]);
    }
  });
}

TEST_CASE("sparse feedback: what overflows a threshold waits in the residual") {
  std::vector<float> const x(1000, 1.0f);
  std::vector<float> residual(1000), sum(1000);
  threshold const c{.value = 0.5f, .capacity_ratio = 0.1};
  workspace<host_exec> ws{host_exec{1}};
  support::payload_buffer payload(payload_bytes<float>(c, 1000));
  encode_feedback(host_exec{1}, c, x, std::span<float>(residual), payload, ws, {.at = 0});
  CHECK(threshold::overflow(payload) == 900);
  double left = 0;
  for (float const r : residual) left += double{r};
  CHECK(left == 900);
}

TEST_CASE("sparse feedback: the mean of what was sent approaches the gradient") {
  constexpr std::size_t n = 3000;
  auto const x = support::heavy_tailed_values(n, 6);
  double norm = 0;
  for (float const v : x) norm += double{v} * double{v};
  for_each_compressor([&](auto const& c) {
    CAPTURE(text(c));
    std::vector<float> residual(n);
    std::vector<double> sum(n);
    workspace<host_exec> ws{host_exec{1}};
    double error_at_200 = 0;
    for (int t = 1; t <= 800; ++t) {
      support::payload_buffer payload(payload_bytes<float>(c, n));
      std::size_t const used = encode_feedback(host_exec{1}, c, x, std::span<float>(residual), payload, ws, {.at = t});
      auto const back = support::decoded(c, payload.bytes().first(used), n, {.at = t});
      double error = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sum[i] += double{back[i]};
        error += std::pow(sum[i] / t - double{x[i]}, 2);
      }
      if (t == 200) error_at_200 = std::sqrt(error / norm);
      if (t == 800) CHECK(std::sqrt(error / norm) < 0.5 * error_at_200);
    }
  });
}

TEST_CASE("sparse: behind a sum or a transform there is one kind of NaN") {
  constexpr std::size_t n = 512;
  std::vector<float> x(n, 1.0f), residual(n);
  x[7] = std::bit_cast<float>(0xff912345u);
  x[9] = support::inf;
  residual[9] = -support::inf;
  auto const nans = [&](auto const& c, bool feedback) {
    support::payload_buffer payload(payload_bytes<float>(c, n));
    workspace<host_exec> ws{host_exec{1}};
    auto rest = residual;
    std::size_t const used = feedback
                                 ? encode_feedback(host_exec{1}, c, x, std::span<float>(rest), payload, ws, {.at = 0})
                                 : encode(host_exec{1}, c, x, payload, ws);
    std::size_t found = 0;
    for (std::size_t at = 0; at + 4 <= used; at += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, payload.bytes().data() + at, sizeof word);
      if ((word & 0x7fffffffu) <= 0x7f800000u) continue;
      CHECK(word == 0x7fc00000u);
      ++found;
    }
    return found;
  };
  CHECK(nans(top_k{.count = 2, .indices = index_coding::raw}, true) == 2);
  CHECK(nans(hadamard_rotate{.block = 16} | top_k{.count = 32, .indices = index_coding::raw}, false) == 16);
}
