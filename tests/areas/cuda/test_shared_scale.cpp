// shared_scale_quantize on a (simulated) GPU gives the bits of the host's, on every rank.
#include <support/cuda/exec_steps.hpp>
#include <support/float_bits.hpp>
#include <support/typed_cases.hpp>

#include <ccomp/quantize/shared_scale.cuh>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

using namespace ccomp;
using support::constantly;
using support::device_array;
using support::same_bits;
using support::step_options;

namespace {

template <class T> support::per_rank<T> inputs(int ranks, std::size_t n) {
  return support::gradients<T>(ranks, n, 1 + n);
}

template <class T = float, class C>
void check_rounds(C const& c, int ranks, std::size_t n, step_options const& o = {}) {
  CAPTURE(text(c));
  CAPTURE(ranks);
  CAPTURE(n);
  auto const in = inputs<T>(ranks, n);
  int const steps = o.feedback ? 2 : 1;  // the second reads what the first wrote
  auto const device = support::on_gpu_ranks<T>(c, n, ranks, steps, constantly(in), o);
  auto const host = support::on_host_ranks<T>(c, n, ranks, steps, constantly(in), o);
  CHECK(same_bits(device.out, host.out));
  if (o.feedback) CHECK(same_bits(device.residual, host.residual));
  CHECK(device.sent[0] <= host.sent[0] + 2 * static_cast<std::size_t>(ranks));  // a last half word may be empty
  CHECK(device.sent[0] >= host.sent[0]);
}

constexpr auto stochastic = rounding::stochastic;

}  // namespace

TEST_CASE("cuda shared_scale_quantize: the host's bits, for any size") {
  support::watchdog const guard("cuda shared_scale", std::chrono::seconds(240));
  for (std::size_t const n : {0u, 1u, 15u, 511u, 513u, 5001u}) {
    check_rounds(shared_scale_quantize<8>{}, 3, n);  // sums of 16 bits
    check_rounds(shared_scale_quantize<4>{.block = 16, .round = stochastic, .seed = 5}, 2, n, {.op = reduction::sum});
  }
  for (int const ranks : {1, 4}) {
    check_rounds(shared_scale_quantize<2>{.block = 64}, ranks, 1027);
    check_rounds(shared_scale_quantize<8>{.block = 4096, .round = stochastic}, ranks, 9000);
    check_rounds(shared_scale_quantize<5>{.block = 1024}, ranks, 5000, {.feedback = false});
  }
}

TEST_CASE("cuda shared_scale_quantize: behind transforms") {
  check_rounds(hadamard_rotate{.block = 256, .seed = 3} | shared_scale_quantize<4>{.round = stochastic}, 3, 3001);
  check_rounds(hadamard_rotate{.block = 4096} | scale{.factor = 3} | shared_scale_quantize<6>{.block = 128}, 2, 9001);
  check_rounds(hadamard_rotate{.block = 64} | shared_scale_quantize<8>{.block = 32}, 2, 700, {.feedback = false});
}

TEST_CASE("cuda shared_scale_quantize: element and residual types, decay") {
  check_rounds<bfloat16>(shared_scale_quantize<8>{.block = 64}, 2, 777);
  check_rounds<float16>(shared_scale_quantize<4>{.round = stochastic}, 2, 1111,
                        {.op = reduction::sum, .wrapper = {.decay = 0.5f}});
  check_rounds(shared_scale_quantize<3>{}, 2, 1500, {.wrapper = {.residual = element_type::bfloat16}});
}

TEST_CASE("cuda shared_scale_quantize: as many ranks as 32-bit sums need") {
  // 260 ranks cannot be had here; the integers of 32 bits are tried by the passes alone.
  using team = detail::team_shape<4, 1>;
  std::vector<float> const x = support::gaussian_values(1001, 4);
  device_array<float> const in(x), out(x.size());
  device_array<std::uint32_t> const keys(8);
  device_array<std::int32_t> const codes(1004);
  cuda_exec const ex;
  detail::device_reduce_call call;
  call.in = {in.data(), element_type::float32};
  call.out = {out.data(), element_type::float32};
  call.n = x.size();
  auto tiles = detail::tile_call(call, 260, 512);
  auto& whole = tiles.whole;
  whole.layout.bits = 8;
  whole.layout.parameter_bytes = 4;
  whole.layout.measure(x.size());
  whole.payload = reinterpret_cast<std::byte*>(keys.data());
  detail::shared_integers integers{keys.data(), codes.data(), 4, 127};
  detail::shared_coder<team> const coder{{{{127, 128}, false}}, integers};
  detail::launch(ex, "shared_maxima", detail::shared_kernel<team>, 1, 128, coder, detail::shared_output::maxima, whole,
                 tiles.how);
  detail::launch(ex, "shared_encode", detail::shared_kernel<team>, 1, 128, coder, detail::shared_output::encode, whole,
                 tiles.how);
  ex.synchronize();
  auto sums = codes.values();
  for (std::int32_t& v : sums) v *= 260;  // as if all ranks had the same
  device_array<std::int32_t> const added(sums);
  integers.codes = added.data();
  detail::launch(ex, "shared_decode", detail::shared_decode_kernel<team>, 1, 128, integers, 260, whole, tiles.how,
                 tiles.sum.divisor);
  ex.synchronize();
  auto const host = support::on_host_ranks<float>(shared_scale_quantize<8>{}, x.size(), 1, 1, constantly<float>({x}));
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(out.values()[i] == doctest::Approx(host.out[0][i]).epsilon(1e-6));
}

TEST_CASE("cuda shared_scale_quantize: what is not finite on one rank spoils its block on all, and no residual") {
  for (float const poison : {support::quiet_nan, -support::inf})
    for (bool const rotated : {false, true}) {
      auto in = inputs<float>(3, 2001);
      std::vector<float> hurt = in[1];
      hurt[700] = hurt[2000] = poison;
      support::inputs_of<float> const brings = [&](int r, int t) {
        return r == 1 && t == 1 ? hurt : in[static_cast<std::size_t>(r)];
      };
      auto const compare = [&](auto const& c) {
        auto const device = support::on_gpu_ranks<float>(c, 2001, 3, 2, brings);
        auto const host = support::on_host_ranks<float>(c, 2001, 3, 2, brings);
        CHECK(same_bits(device.out, host.out));
        CHECK(same_bits(device.residual, host.residual));
        CHECK(std::bit_cast<std::uint32_t>(device.out[0][700]) == 0x7fc00000u);
        CHECK(std::isfinite(device.out[0][100]));
      };
      if (rotated)
        compare(hadamard_rotate{.block = 128} | shared_scale_quantize<4>{.block = 256});
      else
        compare(shared_scale_quantize<4>{.block = 256});
    }
}

TEST_CASE("cuda shared_scale_quantize: with feedback the mean of the outputs converges as 1/T") {
  support::watchdog const guard("cuda shared_scale feedback", std::chrono::seconds(240));
  std::size_t const n = 900;
  auto const in = inputs<float>(2, n);
  auto const want = support::exact_sum(in);
  std::vector<double> sum(n), errors;
  support::on_gpu_ranks<float>(shared_scale_quantize<3>{}, n, 2, 32, constantly(in), {.op = reduction::sum},
                               [&](int t, std::vector<float> const& out) {
                                 std::vector<double> error(n);
                                 for (std::size_t i = 0; i < n; ++i)
                                   error[i] = (sum[i] += static_cast<double>(out[i])) / (t + 1) - want[i];
                                 errors.push_back(support::norm(error) / support::norm(want));
                               });
  CHECK(errors.front() > 0.02);
  CHECK(errors.back() < 2 * errors.front() / 32);
}
