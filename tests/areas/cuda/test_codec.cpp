// Frames written on the (simulated) GPU are the host's, and damaged ones are refused before anything is written.
#include <sim/cuda/cudart_sim.hpp>
#include <support/cuda/device_array.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::device_array;

namespace {

constexpr pass_options sender{.at = 12, .tensor = (5ull << 32) + 1, .rank = 3};

template <class C, class T> std::vector<std::byte> host_frame(C const& c, std::vector<T> const& x) {
  workspace ws{host_exec{1}};
  std::vector<std::byte> frame(max_compressed_bytes<T>(c, x.size()));
  frame.resize(compress(host_exec{1}, c, x, frame, ws, sender));
  return frame;
}
template <class T> std::span<T> span_of(device_array<T> const& a, std::size_t skip = 0) {
  return {a.data() + skip, a.size() - skip};
}

/// `skip`: how far from a boundary the frame starts.
template <class C, class T> void check_frame(C const& c, std::vector<T> const& x, std::size_t skip) {
  auto const expected = host_frame(c, x);
  cuda_exec const ex;
  workspace ws{ex};
  device_array<T> const in(x), out(x.size());
  device_array<std::byte> const frame(skip + max_compressed_bytes<T>(c, x.size()));
  std::size_t const bytes = compress(ex, c, span_of(in), span_of(frame, skip), ws, sender);
  ex.synchronize();
  auto all = frame.values();
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(skip));
  all.resize(bytes);
  CHECK(all == expected);

  auto const info = decompress(ex, c, span_of(frame, skip).first(bytes), span_of(out), ws);
  CHECK(info.n == x.size());
  CHECK(info.tensor == sender.tensor);
  workspace host_ws{host_exec{1}};
  std::vector<T> y(x.size());
  decompress(host_exec{1}, c, expected, y, host_ws);
  CHECK(out.values() == y);
}

auto const chain_of_two = hadamard_rotate{.block = 64} | uniform_quantize<3>{.round = rounding::stochastic};

}  // namespace

TEST_CASE("cuda codec: frames have the host's bytes and values, at any address") {
  for (std::size_t const n : {0u, 1u, 77u, 5000u}) {
    check_frame(uniform_quantize<8>{}, support::same_gaussian_values(n, 1), 0);
    check_frame(chain_of_two, support::same_gaussian_values(n, 2), 5);
    check_frame(top_k{.ratio = 0.1} | uniform_quantize<8>{}, support::same_gaussian_values(n, 4), 0);
    check_frame(threshold{.capacity_ratio = 0.5}, support::same_gaussian_values(n, 4), 3);  // fewer bytes than fit
    check_frame(uniform_quantize<8>{}, support::narrowed<bfloat16>(support::same_gaussian_values(n, 3)), 16);
  }
}

TEST_CASE("cuda codec: damaged and foreign frames are refused before anything is written") {
  std::size_t const n = 900;
  uniform_quantize<8> const c;
  auto const good = host_frame(c, support::same_gaussian_values(n, 1));
  cuda_exec const ex;
  workspace ws{ex};
  std::vector<float> const untouched(n, 5.0f);
  device_array<float> const out(untouched);
  auto const refused = [&](std::vector<std::byte> const& bytes, char const* part, auto const& by, std::size_t values) {
    device_array<std::byte> const frame(bytes);
    CHECK_THROWS_WITH_AS(
        decompress(ex, by, std::span<std::byte const>(frame.data(), frame.size()), span_of(out).first(values), ws),
        doctest::Contains(part), payload_error);
    CHECK(out.values() == untouched);
  };
  for (std::size_t const at : {0u, 5u, 9u, 30u, 60u, 64u, 700u}) {
    auto bad = good;
    bad[at] ^= std::byte{4};
    refused(bad, "the frame is not valid", c, n);
  }
  auto cut = good;
  cut.resize(40);
  refused(cut, "ends inside its header", c, n);
  cut = good;
  cut.resize(good.size() - 16);
  refused(cut, "the header says", c, n);
  refused(good, "was not written by", uniform_quantize<7>{}, n);
  refused(good, "the frame holds 900 values, the output 899", c, n - 1);

  std::vector<float> host(n);
  CHECK_THROWS_WITH_AS(decompress(ex, c, std::span<std::byte const>(good), span_of(out), ws),
                       doctest::Contains("the frame must be device memory"), invalid_argument);
}
