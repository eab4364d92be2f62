// CUB as the judge of top_k: a stable sort of all magnitudes, the largest first, says what must be kept.
#include "bench/cuda/peer_sort.cuh"

#include <support/cuda/device_array.hpp>
#include <support/generators.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/sparsify/top_k.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::device_array;

namespace {

void check_kept(std::vector<float> const& x, std::size_t k) {
  CAPTURE(x.size());
  CAPTURE(k);
  cuda_exec const ex;
  workspace ws{ex};
  top_k const c{.count = k};
  device_array<float> const in(x), out(x.size());
  device_array<std::byte> const payload(payload_bytes(c, x.size()));
  encode(ex, c, in.span(), payload.span(), ws);
  decode(ex, c, payload.span(), out.span(), ws);
  ws.check();

  peer::radix_sort_magnitudes sort(x.size());
  sort(ex, in.data());
  std::vector<std::uint32_t> order(x.size());
  ex.copy_to_host(order.data(), sort.sorted_indices(), order.size() * sizeof(std::uint32_t));
  std::vector<float> expected(x.size());
  for (std::size_t i = 0; i < k; ++i) expected[order[i]] = x[order[i]];
  CHECK(out.values() == expected);
}

}  // namespace

TEST_CASE("gpu: top_k keeps what CUB's sort puts first") {
  for (std::size_t const n : {1000u, 8193u, 1u << 22}) {
    auto const distinct = support::gaussian_values(n, n);
    auto equal = distinct;  // few magnitudes, so that ties decide
    for (float& v : equal) v = v < 0 ? -1.0f - static_cast<float>(v < -1) : 1.0f;
    for (std::size_t const k : {std::size_t{1}, n / 100, n / 3, n}) {
      check_kept(distinct, k);
      check_kept(equal, k);
    }
  }
}
