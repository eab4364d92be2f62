#pragma once
/// What a stage claims as its contraction, tried with numbers.

#include <ccomp/testing/compressor_check.hpp>

#include <doctest/doctest.h>

#include <optional>

namespace support {

/// The average over steps of |x - Q(x)|^2 / |x|^2 stays below 1 - contraction, for any distribution of values.
template <class S> void check_contraction(S const& s, int steps) {
  auto const stages = ccomp::detail::host_stages_of(s);
  ccomp::testing::detail::compressor_check check(stages, {});
  check.run([&] {
    check.contraction([&](std::size_t n) { return std::optional(static_cast<double>(s.contraction(n))); }, steps);
  });
  for (auto const& fault : check.faults()) FAIL_CHECK(fault);
}

}  // namespace support
