// Strategies on GPUs give the host's bits: the ring, hop by hop, and examples/star.hpp, from outside the library.
#include <examples/star.hpp>
#include <support/cuda/exec_steps.hpp>
#include <support/generators.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace ccomp;
using support::same_bits;

namespace {

template <class C, class How> void check(C const& c, int ranks, std::size_t n, bool feedback, How how) {
  CAPTURE(ranks);
  CAPTURE(n);
  CAPTURE(feedback);
  support::inputs_of<float> const in = [&](int r, int t) {
    return support::gaussian_values(n, static_cast<std::uint64_t>(10 * t + r + 1));
  };
  support::step_options const o{.feedback = feedback};
  auto const host = support::steps_on<host_exec, float>(c, n, ranks, 2, in, o, how);
  auto const gpu = support::steps_on<cuda_exec, float>(c, n, ranks, 2, in, o, how);
  for (std::size_t r = 0; r < static_cast<std::size_t>(ranks); ++r) {
    CHECK(same_bits(gpu.out[r], host.out[r]));
    CHECK(same_bits(gpu.out[r], gpu.out[0]));
    CHECK(same_bits(gpu.residual[r], host.residual[r]));
    CHECK(gpu.saved[r] == host.saved[r]);
    CHECK(gpu.sent[r] == host.sent[r]);
  }
}

}  // namespace

TEST_CASE("cuda: a ring and a star of a user's own give the host's bits") {
  for (int const ranks : {1, 2, 3}) {
    check(natural{}, ranks, 4097, true, ring{});
    check(natural{}, ranks, 4097, false, ring{});
    check(top_k{.ratio = 0.1}, ranks, 4097, true, ring{});
    check(natural{}, ranks, 4097, true, mylab::star{});
  }
  check(natural{}, 3, 5, true, ring{});  // chunks without a value
}

TEST_CASE("cuda: a ring adds up what the ranks bring") {
  constexpr std::size_t n = 5000;
  constexpr int ranks = 3;
  support::inputs_of<float> const in = [](int r, int) { return std::vector<float>(n, static_cast<float>(1 << r)); };
  auto const gpu = support::steps_on<cuda_exec, float>(top_k{.ratio = 1.0}, n, ranks, 1, in,
                                                       {.op = reduction::sum, .feedback = false}, ring{});
  for (auto const& out : gpu.out) CHECK(same_bits(out, std::vector<float>(n, 7.0f)));
}
