// two_shot of values whose sums do not fit float16, on the (simulated) GPU.
#include <support/cuda/exec_steps.hpp>

#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

using namespace ccomp;

namespace {

/// Means by two_shot with feedback, after each of two steps.
template <class T, class C> void check_large_means(C const& c) {
  auto const name = text(c);
  CAPTURE(name);
  std::size_t const n = 3000;
  support::inputs_of<T> const brings = [](int r, int) {
    std::vector<T> x(n);
    for (std::size_t i = 0; i < n; ++i)
      x[i] = T(i % 100 == 0 ? 60000.0f : static_cast<float>(i % 7) * 100.0f + static_cast<float>(r));
    return x;
  };
  for (int const steps : {1, 2}) {
    auto const device = support::steps_on<cuda_exec, T>(c, n, 3, steps, brings, {.first = 1}, two_shot{});
    auto const host = support::steps_on<host_exec, T>(c, n, 3, steps, brings, {.first = 1}, two_shot{});
    CHECK(support::same_bits(device.out, host.out));
    CHECK(support::same_bits(device.residual, host.residual));
  }
}

}  // namespace

TEST_CASE("cuda: two_shot of large float16 values gives the host's means and residuals") {
  check_large_means<float16>(top_k{.ratio = 0.02});
  check_large_means<float16>(uniform_quantize<8>{});
  check_large_means<float>(cast<float16>{});
}
