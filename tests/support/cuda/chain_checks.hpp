#pragma once
/// Block chains on the (simulated) GPU give the host's bytes: payload, residual, decoded values, sums. Several test files
/// share it, as nvcc takes long for each kind of quantizer.

#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/typed_cases.hpp>

#include <string>

namespace support {

/// Calls f with values of all kinds, with how far from a boundary they start, and with the type of a residual.
template <class F> void with_chain_cases(F const& f) {
  using ccomp::float16, ccomp::bfloat16;
  for (std::size_t const n : {0u, 1u, 5u, 127u, 513u, 1024u, 4097u, 9219u}) {
    CAPTURE(n);
    f(same_gaussian_values(n, 1), n % 3, 0.0f);
  }
  f(narrowed<float16>(same_gaussian_values(1500, 2)), 1, bfloat16{});
  f(narrowed<bfloat16>(same_gaussian_values(1500, 3)), 0, 0.0f);
  for (auto const& each : finite_typed_cases<float>(700)) {
    auto const kind = each.name;
    CAPTURE(kind);
    f(each.values, 0, bfloat16{});
  }
  for (auto const& each : spoilt_cases<float>(5000, 64)) f(each.values, 0, 0.0f);
}

/// Two passes, one kernel each.
template <class T, class F> void check_two_passes(std::vector<T> const& x, F const& check) {
  std::size_t const launches = cudart_sim::count().launches;
  check();
  CHECK(cudart_sim::count().launches == launches + (x.empty() ? 0 : 2));
}

template <class C> void check_chain_encodes(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  with_chain_cases([&]<class T, class R>(std::vector<T> const& x, std::size_t skip, R) {
    check_two_passes(x, [&] { check_encodes<R>(c, x, skip); });
  });
}
template <class C> void check_chain_decodes(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  with_chain_cases([&]<class T, class R>(std::vector<T> const& x, std::size_t skip, R) {
    check_two_passes(x, [&] { check_decodes(c, x, skip); });
    if constexpr (std::is_same_v<T, R>)
      if (!x.empty()) check_sums(c, x);
  });
  check_sums(c, narrowed<ccomp::bfloat16>(same_gaussian_values(1111, 3)));
}
template <class C> void check_chain(C const& c) {
  check_chain_encodes(c);
  check_chain_decodes(c);
}

}  // namespace support
