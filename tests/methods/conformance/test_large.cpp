// Tensors of 2^31 values and more: sizes and places are 64-bit numbers throughout.
#include <support/generators.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/collective/call.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

constexpr std::size_t over_31_bits = (std::size_t{1} << 31) + 5, over_32_bits = (std::size_t{1} << 32) + 5;

/// Memory that this machine could give now.
std::size_t available_bytes() {
  std::ifstream from("/proc/meminfo");
  std::string word;
  while (from >> word)
    if (std::size_t kib = 0; word == "MemAvailable:" && from >> kib) return kib * 1024;
  return 0;
}
bool wanted() { return std::getenv("CCOMP_TEST_LARGE") != nullptr; }

/// The values over and over, n in all.
std::vector<float> repeated(std::vector<float> const& values, std::size_t n) {
  std::vector<float> x;
  x.reserve(n);
  while (x.size() < n)
    x.insert(x.end(), values.begin(),
             values.begin() + static_cast<std::ptrdiff_t>(std::min(values.size(), n - x.size())));
  return x;
}
template <class C> std::vector<std::byte> encoded(C const& c, std::vector<float> const& x, workspace<host_exec>& ws) {
  std::vector<std::byte> payload(payload_bytes(c, x.size()));
  CHECK(encode(host_exec{}, c, x, payload, ws) == payload.size());
  return payload;
}
bool same_values(float const* a, float const* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

/// 2^31 + 5 values that repeat those of a small tensor are coded to what the small one's decode to.
template <class C> void check_repeated(C const& c) {
  CAPTURE(text(c));
  constexpr std::size_t period = std::size_t{1} << 20;
  auto const values = support::gaussian_values(period, 3);
  workspace ws{host_exec{}};
  auto const decoded = [&](std::vector<float> x) {
    auto const payload = encoded(c, x, ws);
    std::ranges::fill(x, -7.0f);
    decode(host_exec{}, c, payload, x, ws);
    return x;
  };
  auto const small = decoded(values), end = decoded(repeated(values, over_31_bits % period));
  auto const large = decoded(repeated(values, over_31_bits));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i + period <= large.size(); i += period)
    wrong += same_values(large.data() + i, small.data(), period) ? 0u : 1u;
  CHECK(wrong == 0);
  CHECK(same_values(large.data() + large.size() - end.size(), end.data(), end.size()));
}

}  // namespace

TEST_CASE("large: payloads of more than 2^32 values have the sizes that the formats say") {
  for (std::size_t const n : {over_31_bits, over_32_bits}) {
    CAPTURE(n);
    auto const padded = [](std::size_t bytes) { return (bytes + 15) / 16 * 16; };
    auto const blocks = [&](std::size_t block) { return padded((n + block - 1) / block * 4); };
    CHECK(payload_bytes(uniform_quantize<8>{}, n) == blocks(512) + padded(n));
    CHECK(payload_bytes(uniform_quantize<3>{.block = 16}, n) == blocks(16) + padded((3 * n + 7) / 8));
    CHECK(payload_bytes(sign_quantize{}, n) == blocks(1024) + padded((n + 7) / 8));
    CHECK(payload_bytes(cast<bfloat16>{}, n) == padded(2 * n));
  }
  std::size_t const n = over_31_bits, k = n / 2;
  CHECK(payload_bytes(top_k{.ratio = 0.5, .indices = index_coding::raw}, n) == 2 * ((4 * k + 15) / 16 * 16));
  index_layout const packed(index_coding::packed, n, k);
  CHECK(packed.low_bits == 1);
  CHECK(packed.low_bytes == (k + 63) / 64 * 8);
  CHECK(packed.map_bytes == (k + n / 2 + 1 + 63) / 64 * 8);
  CHECK(index_layout(index_coding::bitmap, over_32_bits, k).bytes() == over_32_bits / 64 * 8 + 8);
}

TEST_CASE("large: ranks' chunks cover a tensor of more than 2^32 values") {
  for (std::size_t const n : {over_31_bits, over_32_bits})
    for (std::size_t const ranks : {1u, 2u, 3u, 7u}) {
      uniform_quantize<8> const c;
      auto const stages = detail::host_stages_of(c);
      auto const cut = detail::chunks_for(stages, n, ranks);
      std::size_t sum = 0;
      for (std::size_t i = 0; i < ranks; ++i) {
        CHECK(cut.first(i) == sum);
        sum += cut.length(i);
      }
      CHECK(sum == n);
      CHECK(cut.size >= n / ranks);
      CHECK(cut.size < n / ranks + 2 * detail::granule(stages));
    }
}

TEST_CASE("large: places are drawn from the whole tensor") {
  CHECK(detail::below(0xffffffffu, 0xffffffffu, over_31_bits) == over_31_bits - 1);
  CHECK(detail::below(0xffffffffu, 0xffffffffu, std::uint64_t{1} << 32) == 0xffffffffu);
  CHECK(detail::below(0x80000000u, 0, over_31_bits) == over_31_bits / 2);
}

TEST_CASE("large: sparsifiers name the size that their indices cannot reach") {
  auto const refused = [](auto const& c) {
    CHECK_THROWS_WITH_AS(static_cast<void>(payload_bytes(c, over_32_bits)),
                         doctest::Contains("a tensor may have up to 2^32 - 1 values, got 4294967301"),
                         invalid_argument);
  };
  refused(top_k{});
  refused(random_k{});
  refused(threshold{});
}

// 11 GiB and minutes: set CCOMP_TEST_LARGE to run it.
TEST_CASE("large: 2^31 + 5 values are coded and decoded" * doctest::skip(!wanted())) {
  if (std::size_t const bytes = available_bytes(), needed = std::size_t{12} << 30; bytes < needed) {
    MESSAGE("skipped: 12 GiB of free memory are needed, there are " << (bytes >> 30));
    return;
  }
  check_repeated(sign_quantize{});
  check_repeated(cast<fp8_e4m3>{});
}
