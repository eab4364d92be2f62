// Passes and frames of power_sgd on a (simulated) GPU, over (simulated) cuBLAS.
#include <support/cuda/factor_passes.hpp>
#include <support/cuda/low_rank_inputs.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/float_bits.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::check_factor_passes;
using support::device_array;
using support::low_rank_inputs;

TEST_CASE("cuda power_sgd: passes, close to the host's; payloads of either engine mean the same to both") {
  check_factor_passes(power_sgd{.rank = 3, .rows = 30}, 30 * 32, 32);
  check_factor_passes(power_sgd{.rank = 3, .rows = 41, .seed = 5}, 41 * 51 - 7, 51, 1);  // the last row is short
  check_factor_passes<bfloat16>(power_sgd{.rank = 3, .rows = 50}, 2000, 40, 3);
  check_factor_passes(hadamard_rotate{.block = 64} | power_sgd{.rank = 3, .rows = 64}, 64 * 64, 64);
  // A code may fall to either side: one part in 2^9, or in 2^8 of a block's range.
  check_factor_passes(power_sgd{.rank = 3, .rows = 30} | cast<bfloat16>{}, 30 * 32, 32, 0, 1e-2);
  check_factor_passes<float16>(power_sgd{.rank = 3, .rows = 30} | uniform_quantize<8>{.round = rounding::stochastic},
                               30 * 32, 32, 0, 2e-2);
}

TEST_CASE("cuda power_sgd: passes of small tensors have the host's bits") {
  for (std::size_t const n : {0u, 1u, 60u}) {
    auto x = support::same_gaussian_values(n, 1);
    support::check_passes<float>(power_sgd{}, x, 1);
    support::check_passes<bfloat16>(power_sgd{} | uniform_quantize<8>{.round = rounding::stochastic},
                                    support::narrowed<float16>(x), 0);
    if (n > 7) x[7] = support::quiet_nan, x[9] = support::inf;
    support::check_passes<float>(hadamard_rotate{.block = 32} | power_sgd{}, x, 0);
    support::check_passes<bfloat16>(power_sgd{}, x, 0);
    if (n > 0) support::check_sums(power_sgd{}, x);
    if (n > 0) support::check_chunks(power_sgd{}, x, 16, 4);
  }
}

TEST_CASE("cuda power_sgd: a pass of values that are not finite sends NaN, and the residual keeps what it can") {
  std::size_t const n = 40 * 50 - 3;
  power_sgd const c{.rank = 2, .rows = 40};
  for (float const poison : {support::quiet_nan, -support::inf, 1e37f}) {
    CAPTURE(poison);
    auto x = low_rank_inputs(1, n, 50)[0];
    x[n - 1] = poison;
    auto residual = support::gaussian_values(n, 6);
    cuda_exec const ex;
    host_exec const host{1};
    workspace device_ws{ex};
    workspace ws{host};
    device_array<float> const in(x), rest(residual), out(std::vector<float>(n, 1.0f));
    device_array<std::byte> const coded(payload_bytes(c, n));
    encode_feedback(ex, c, in.span(), rest.span(), coded.span(), device_ws, {.at = 0});
    decode(ex, c, coded.span(), out.span(), device_ws);
    ex.synchronize();
    support::host_bytes payload(payload_bytes(c, n));
    encode_feedback(host, c, x, std::span(residual), payload.span(), ws, {.at = 0});
    CHECK(support::same_bytes(coded.values(), payload.copy()));
    CHECK(support::same_bytes(rest.values(), residual));
    for (float const v : out.values()) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

TEST_CASE("cuda power_sgd: frames, and a graph of a pass") {
  std::size_t const n = 41 * 51 - 7;
  power_sgd const c{.rank = 3, .rows = 41};
  auto const x = low_rank_inputs(1, n, 51)[0];
  support::own_stream const stream;
  cuda_exec const ex{stream.get()};
  workspace ws{ex};
  device_array<float> const in(x), out(n), frame_out(n);
  device_array<std::byte> const coded(payload_bytes(c, n)), frame(max_compressed_bytes(c, n));
  std::size_t const used = compress(ex, c, in.span(), frame.span(), ws);
  decompress(ex, c, frame.span().first(used), frame_out.span(), ws);

  auto const both = [&](workspace<cuda_exec>& w) {
    encode(ex, c, in.span(), coded.span(), w);
    decode(ex, c, coded.span(), out.span(), w);
  };
  SUBCASE("prepared") {
    both(ws);
    support::recorded_graph const graph(ex, [&] { both(ws); });
    ex.fill_zero(out.data(), n * sizeof(float));
    graph.launch();
    ex.synchronize();
    CHECK(out.values() == frame_out.values());
  }
  SUBCASE("not prepared: memory is lent, but there is no handle of cuBLAS") {
    device_array<std::byte> const memory(std::size_t{64} << 20);
    workspace<cuda_exec> fresh(ex, memory.span());
    static_cast<void>(fresh.status());
    support::check_records_nothing(ex, [&] {
      CHECK_THROWS_WITH_AS(encode(ex, c, in.span(), coded.span(), fresh),
                           doctest::Contains("power_sgd: the stream records a graph and the workspace is new"),
                           invalid_argument);
    });
  }
}
