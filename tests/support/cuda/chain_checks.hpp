#pragma once
/// Block chains on the (simulated) GPU give the host's bytes: payload, residual, decoded values, sums. Several test files
/// share it, as nvcc takes long for each kind of quantizer.

#include <string>
#include <support/cuda/cudart_sim.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/typed_cases.hpp>

namespace support {

template <class C, class T, class R> void check_four_passes(C const& c, std::vector<T> const& x, std::size_t skip) {
  std::size_t const launches = cudart_sim::count().launches;
  check_passes<R>(c, x, skip);
  CHECK(cudart_sim::count().launches == launches + (x.empty() ? 0 : 4));  // one kernel each
}

template <class C> void check_chain(C const& c) {
  using ccomp::float16, ccomp::bfloat16;
  auto const name = text(c);
  CAPTURE(name);
  for (std::size_t const n : {0u, 1u, 5u, 127u, 513u, 1024u, 4097u, 9219u}) {
    CAPTURE(n);
    auto const x = same_gaussian_values(n, 1);
    check_four_passes<C, float, float>(c, x, n % 3);
    if (n > 0) check_sums(c, x);
  }
  check_four_passes<C, float16, bfloat16>(c, narrowed<float16>(same_gaussian_values(1500, 2)), 1);
  check_four_passes<C, bfloat16, float>(c, narrowed<bfloat16>(same_gaussian_values(1500, 3)), 0);
  check_sums(c, narrowed<bfloat16>(same_gaussian_values(1111, 3)));
  for (auto const& each : finite_typed_cases<float>(700)) {
    auto const kind = each.name;
    CAPTURE(kind);
    check_four_passes<C, float, bfloat16>(c, each.values, 0);
  }
  for (auto const& each : spoilt_cases<float>(5000, 64)) {
    check_four_passes<C, float, float>(c, each.values, 0);
    check_sums(c, each.values);
  }
}

}  // namespace support
