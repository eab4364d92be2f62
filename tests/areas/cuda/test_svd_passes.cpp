// svd and randomized_svd on a (simulated) GPU, over (simulated) cuBLAS and cuSOLVER.
#include <support/cuda/factor_passes.hpp>
#include <support/cuda/low_rank_inputs.hpp>
#include <support/cuda/own_stream.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/cuda/run_time_chain.hpp>
#include <support/factors.hpp>
#include <support/float_bits.hpp>
#include <support/ranks.hpp>

#if defined(CCOMP_CUDA_SIM)
#include <sim/cusolver/cusolver_sim.hpp>
#endif

#include <ccomp/any_compressor.cuh>
#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.cuh>
#include <ccomp/comm/thread.cuh>
#include <ccomp/low_rank/randomized_svd.cuh>
#include <ccomp/low_rank/svd.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

using namespace ccomp;
using support::check_factor_passes;
using support::device_array;
using support::low_rank_inputs;
using support::squared_error;
using support::squared_norm;

namespace {

std::vector<float> device_round_trip(auto const& c, std::vector<float> const& x) {
  cuda_exec const ex;
  workspace ws{ex};
  device_array<float> const in(x), out(x.size());
  device_array<std::byte> const coded(payload_bytes<float>(c, x.size()));
  encode(ex, c, in.span(), coded.span(), ws, {.at = 3, .tensor = 1});
  decode(ex, c, coded.span(), out.span(), ws, {.at = 3, .tensor = 1});
  ws.check();
  return out.values();
}
template <class C> void check_sizes_of_values(C const& c, std::size_t n, std::size_t cols) {
  auto const matrix = low_rank_inputs(1, n, cols)[0];
  for (double const size : {1e30, 1e-30}) {
    CAPTURE(size);
    auto x = matrix;
    for (float& v : x) v *= static_cast<float>(size);
    support::host_bytes bytes(payload_bytes<float>(c, n));
    workspace ws{host_exec{1}};
    encode(host_exec{1}, c, x, bytes.span(), ws, {.at = 3, .tensor = 1});
    std::vector<float> own(n);
    decode(host_exec{1}, c, bytes.span(), own, ws, {.at = 3, .tensor = 1});
    CHECK(support::distance(device_round_trip(c, x), own) < 1e-5);
  }
  CHECK(device_round_trip(c, std::vector<float>(n)) == std::vector<float>(n));
  for (float const poison : {support::quiet_nan, -support::inf, 3e38f}) {
    CAPTURE(poison);
    auto x = matrix;
    if (std::isfinite(poison))
      x.assign(n, poison);  // a product of factors this large could overflow
    else
      x[n - 1] = poison;
    for (float const v : device_round_trip(c, x)) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
  }
}

}  // namespace

TEST_CASE("cuda svd: passes, close to the host's; payloads of either engine mean the same to both") {
  check_factor_passes(svd{.rank = 3, .rows = 30}, 30 * 32, 32);
  check_factor_passes(svd{.rank = 3, .rows = 51}, 41 * 51 - 7, 41, 1);  // tall; the last row is short
  check_factor_passes<bfloat16>(svd{.rank = 3, .rows = 50}, 2000, 40, 3);
  check_factor_passes(hadamard_rotate{.block = 64} | svd{.rank = 3, .rows = 64}, 64 * 64, 64);
  check_factor_passes(svd{.rank = 3, .rows = 30} | cast<bfloat16>{}, 30 * 32, 32, 0, 1e-2);
}

TEST_CASE("cuda randomized_svd: passes, close to the host's; payloads of either engine mean the same to both") {
  check_factor_passes(randomized_svd{.rank = 3, .rows = 30}, 30 * 32, 32);
  check_factor_passes(randomized_svd{.rank = 3, .rows = 51, .power_iterations = 3, .oversampling = 4, .seed = 5},
                      41 * 51 - 7, 41, 1);
  // A decoded half may fall to either side.
  check_factor_passes<float16>(randomized_svd{.rank = 3, .rows = 50, .power_iterations = 2}, 2000, 40, 3, 1e-4);
  check_factor_passes(randomized_svd{.rank = 3, .rows = 30, .power_iterations = 0, .oversampling = 30} |
                          uniform_quantize<8>{.round = rounding::stochastic},
                      30 * 32, 32, 0, 2e-2);
}

TEST_CASE("cuda svd: the squared error is the sum of the dropped squared singular values") {
  // A sum of three orthogonal pairs, times 8, 4 and 1: rank 2 leaves the square of the last.
  std::size_t const rows = 32, cols = 16;
  std::vector<float> x(rows * cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) {
      auto const sign = [](std::size_t a, std::size_t bit) { return (a >> bit & 1) != 0 ? -1.0f : 1.0f; };
      x[i * cols + j] = 8 * sign(i, 0) * sign(j, 3) + 4 * sign(i, 1) * sign(j, 0) + sign(i, 4) * sign(j, 2);
    }
  double const pair = static_cast<double>(rows * cols);  // the squared norm of a pair
  for (auto const& known : {std::pair{1u, 17 * pair}, {2u, pair}, {3u, 0.0}}) {
    CAPTURE(known.first);
    CHECK(squared_error(x, device_round_trip(svd{.rank = known.first, .rows = rows}, x)) ==
          doctest::Approx(known.second).epsilon(1e-5).scale(81 * pair * 1e-5));
    CHECK(squared_error(x, device_round_trip(randomized_svd{.rank = known.first, .rows = rows}, x)) ==
          doctest::Approx(known.second).epsilon(1e-5).scale(81 * pair * 1e-5));
  }
}

TEST_CASE("cuda svd, randomized_svd: rank-deficient, zero, huge, tiny and non-finite matrices") {
  check_sizes_of_values(svd{.rank = 3, .rows = 40}, 40 * 50 - 3, 50);
  check_sizes_of_values(randomized_svd{.rank = 3, .rows = 40}, 40 * 50 - 3, 50);
  auto const x = low_rank_inputs(1, 40 * 24, 24)[0];
  std::vector<float> lines(40 * 24);
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i] = x[i % 24] * static_cast<float>(i / 24);  // rank 1
  CHECK(squared_error(lines, device_round_trip(svd{.rank = 6, .rows = 40}, lines)) < 1e-11 * squared_norm(lines));
  CHECK(squared_error(lines, device_round_trip(randomized_svd{.rank = 6, .rows = 40}, lines)) <
        1e-11 * squared_norm(lines));
}

TEST_CASE("cuda svd: the columns of P are orthonormal, but for a power of two, and their largest entries positive") {
  std::size_t const rows = 60, cols = 30, rank = 4;
  auto const x = support::gaussian_values(rows * cols, 4);
  auto const check = [&](auto const& c) {
    cuda_exec const ex;
    workspace ws{ex};
    device_array<float> const in(x);
    device_array<std::byte> const coded(payload_bytes<float>(c, x.size()));
    encode(ex, c, in.span(), coded.span(), ws, {.at = 3});
    ex.synchronize();
    support::check_orthonormal(coded.values(), rows, rank, 2e-6);
  };
  check(svd{.rank = rank, .rows = rows});
  check(randomized_svd{.rank = rank, .rows = rows});
}

TEST_CASE("cuda svd, randomized_svd: tensors sent as they are have the host's bits") {
  for (std::size_t const n : {0u, 1u, 60u}) {
    auto x = support::same_gaussian_values(n, 1);
    if (n > 7) x[7] = support::quiet_nan, x[9] = support::inf;
    support::check_passes<bfloat16>(svd{}, x, 0);
    support::check_passes<float>(randomized_svd{} | uniform_quantize<8>{}, x, 1);
  }
}

TEST_CASE("cuda svd, randomized_svd: wrong ranks and a recording are refused") {
  support::own_stream const stream;
  cuda_exec const ex{stream.get()};
  workspace ws{ex};
  auto const x = low_rank_inputs(1, 20 * 30, 30)[0];
  device_array<float> const in(x);
  device_array<std::byte> const coded(4096);
  auto const run = [&](auto const& c) { encode(ex, c, in.span(), coded.span(), ws, {.at = 3}); };
  CHECK_THROWS_WITH_AS(run(svd{.rank = 21, .rows = 20}),
                       doctest::Contains("svd: rank is 21, and 600 values with rows=20"), invalid_argument);
  run(svd{.rank = 3, .rows = 20});
  run(randomized_svd{.rank = 3, .rows = 20});
  ex.synchronize();
  support::check_records_nothing(ex, [&] {
    CHECK_THROWS_WITH_AS(run(svd{.rank = 3, .rows = 20}),
                         doctest::Contains("svd: the stream records a graph, and cuSOLVER may wait for the device"),
                         invalid_argument);
    CHECK_THROWS_WITH_AS(run(randomized_svd{.rank = 3, .rows = 20}),
                         doctest::Contains("randomized_svd: the stream records a graph"), invalid_argument);
  });
}

#if defined(CCOMP_CUDA_SIM)
TEST_CASE("cuda svd: a failure of cuSOLVER names the call, and the next call runs") {
  auto const x = low_rank_inputs(1, 20 * 30, 30)[0];
  svd const c{.rank = 3, .rows = 20};
  auto const good = device_round_trip(c, x);
  int const handles = cusolver_sim::handles();
  cusolver_sim::fail_next("cusolverDnSgesvdj", CUSOLVER_STATUS_EXECUTION_FAILED);
  CHECK_THROWS_WITH_AS(device_round_trip(c, x), doctest::Contains("cusolverDnSgesvdj: cuSOLVER returns status 6"),
                       cuda_error);
  CHECK(device_round_trip(c, x) == good);
  CHECK(cusolver_sim::handles() == handles);  // each workspace takes one that is free
}
#endif

TEST_CASE("cuda svd: allreduce takes gather by itself, and every rank has the same mean") {
  std::size_t const n = 30 * 20;
  auto const inputs = low_rank_inputs(3, n, 20);
  auto const check = [&](auto const& c) {
    std::vector<double> wanted(n);
    for (auto const& x : inputs) {
      auto const y = device_round_trip(c, x);
      for (std::size_t i = 0; i < n; ++i) wanted[i] += double{y[i]};
    }
    std::vector<std::vector<float>> sums(3);
    thread_group(3).run([&](thread_communicator& comm) {
      cuda_exec const ex;
      workspace ws{ex};
      auto const rank = static_cast<std::size_t>(comm.rank());
      device_array<float> const x(inputs[rank]);
      auto const report = allreduce(ex, comm, c, x.span(), ws, {.at = 3, .tensor = 1});
      ws.check();
      if (rank == 0) CHECK(std::string_view(report.strategy) == "gather");
      sums[rank] = x.values();
    });
    CHECK(sums[0] == sums[1]);
    CHECK(sums[0] == sums[2]);
    std::vector<float> rounded;
    for (double const v : wanted) rounded.push_back(static_cast<float>(v / 3));
    CHECK(support::distance(sums[0], rounded) < 1e-5);
  };
  check(svd{.rank = 3, .rows = 30});
  check(randomized_svd{.rank = 3, .rows = 30} | cast<bfloat16>{});
}

TEST_CASE("cuda: svd and randomized_svd chosen at run time give the bytes of typed chains") {
  using few = any_compressor_of<svd, randomized_svd, cast<bfloat16>>;
  auto const matrix = support::low_rank_inputs(1, 24 * 20, 20)[0];
  CHECK(support::code_on_gpu(few("svd(2)"), matrix) == support::code_on_gpu(svd{.rank = 2}, matrix));
  CHECK(support::code_on_gpu(few("svd(2) | cast<bfloat16>"), matrix) ==
        support::code_on_gpu(svd{.rank = 2} | cast<bfloat16>{}, matrix));
  CHECK(support::code_on_gpu(few("randomized_svd(2)"), matrix) ==
        support::code_on_gpu(randomized_svd{.rank = 2}, matrix));
}
