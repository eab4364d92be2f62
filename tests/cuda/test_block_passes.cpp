// Block chains on the (simulated) GPU give the host's bytes: payload, residual, decoded values, sums.
#include <doctest/doctest.h>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>
#include <string>
#include <support/cuda/cudart_sim.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;

namespace {

template <class C, class T, class R> void check_four_passes(C const& c, std::vector<T> const& x, std::size_t skip) {
  std::size_t const launches = cudart_sim::count().launches;
  support::check_passes<R>(c, x, skip);
  CHECK(cudart_sim::count().launches == launches + (x.empty() ? 0 : 4));  // one kernel each
}
using support::check_sums;

template <class C> void check_chain(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  for (std::size_t const n : {0u, 1u, 5u, 127u, 513u, 1024u, 4097u, 9219u}) {
    CAPTURE(n);
    auto const x = support::same_gaussian_values(n, 1);
    check_four_passes<C, float, float>(c, x, n % 3);
    if (n > 0) check_sums(c, x);
  }
  check_four_passes<C, float16, bfloat16>(c, support::narrowed<float16>(support::same_gaussian_values(1500, 2)), 1);
  check_four_passes<C, bfloat16, float>(c, support::narrowed<bfloat16>(support::same_gaussian_values(1500, 3)), 0);
  check_sums(c, support::narrowed<bfloat16>(support::same_gaussian_values(1111, 3)));
  for (auto const& each : support::finite_typed_cases<float>(700)) {
    auto const kind = each.name;
    CAPTURE(kind);
    check_four_passes<C, float, bfloat16>(c, each.values, 0);
  }
  for (auto const& each : support::spoilt_cases<float>(5000, 64)) {
    check_four_passes<C, float, float>(c, each.values, 0);
    check_sums(c, each.values);
  }
}

}  // namespace

TEST_CASE("cuda: casts and raw values") {
  check_chain(cast<bfloat16>{});
  check_chain(cast<float16>{});
  check_chain(cast<fp8_e4m3>{});
  check_chain(cast<fp8_e5m2>{.block = 32});
  check_chain(sign_flip{});
  check_chain(scale{.factor = 0.5f} | cast<float16>{});
}

TEST_CASE("cuda: uniform codes of every width, range and rounding") {
  check_chain(uniform_quantize<1>{});
  check_chain(uniform_quantize<2>{.block = 16});
  check_chain(uniform_quantize<3>{.block = 64, .round = rounding::stochastic, .range = code_range::min_max});
  check_chain(uniform_quantize<4>{.round = rounding::stochastic, .seed = 3});
  check_chain(uniform_quantize<5>{.block = 1024});
  check_chain(uniform_quantize<6>{.block = 128});
  check_chain(uniform_quantize<7>{.block = 2048});
  check_chain(uniform_quantize<8>{});
  check_chain(uniform_quantize<8>{.block = 4096, .range = code_range::min_max});
}

TEST_CASE("cuda: statistics that are sums round as on the host") {
  check_chain(sign_quantize{});
  check_chain(sign_quantize{.block = 16});
  check_chain(sign_quantize{.block = 4096, .scale = sign_scale::two_means});
  check_chain(sign_quantize{.block = 256, .scale = sign_scale::l2});
  check_chain(ternary{});
  check_chain(ternary{.block = 2048});
  check_chain(qsgd<4>{.block = 32, .norm = level_norm::l2});
  check_chain(natural{});
}

TEST_CASE("cuda: transforms before a quantizer") {
  check_chain(hadamard_rotate{} | uniform_quantize<4>{});
  check_chain(hadamard_rotate{.block = 4} | uniform_quantize<2>{.block = 16});
  check_chain(hadamard_rotate{.block = 64, .seed = 9} | sign_flip{.seed = 2} |
              uniform_quantize<8>{.round = rounding::stochastic});
  check_chain(hadamard_rotate{.block = 4096} | sign_quantize{.block = 128});
  check_chain(hadamard_rotate{.block = 2048} | cast<bfloat16>{});
  check_chain(sign_flip{} | hadamard_rotate{.block = 256} | scale{.factor = -3.0f});
}
