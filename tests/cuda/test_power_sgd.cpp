// power_sgd on a (simulated) GPU, over (simulated) cuBLAS: close to the host, the same bits on every rank.
#include <doctest/doctest.h>

#include <ccomp/codec.cuh>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <limits>
#include <support/cuda/exec_steps.hpp>
#include <support/cuda/pass_checks.hpp>
#include <support/cuda/recorded_graph.hpp>
#include <support/typed_cases.hpp>

using namespace ccomp;
using support::constantly;
using support::device_array;
using support::same_bits;
using support::step_options;

namespace {

double distance(std::vector<float> const& a, std::vector<float> const& b) {
  std::vector<double> off, size;
  for (std::size_t i = 0; i < a.size(); ++i) {
    off.push_back(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    size.push_back(static_cast<double>(b[i]));
  }
  return support::norm(off) / (support::norm(size) + 1e-30);
}
template <class T> std::vector<float> widened(std::vector<T> const& x) {
  std::vector<float> y;
  for (T const v : x) y.push_back(static_cast<float>(v));
  return y;
}
/// Rank 3 and a little noise: directions that are far apart, so that rounding does not turn them.
template <class T = float> support::per_rank<T> low_rank_inputs(int ranks, std::size_t n, std::size_t cols) {
  support::per_rank<T> all;
  for (int r = 0; r < ranks; ++r) {
    auto const seed = static_cast<std::uint64_t>(r);
    auto const noise = support::gaussian_values(n, 70 + seed, 0.02), left = support::gaussian_values(3 * n, 80),
               right = support::gaussian_values(3 * cols, 90 + seed);
    std::vector<T> m(n);
    for (std::size_t i = 0; i < n; ++i) {
      float v = noise[i];
      for (std::size_t k = 0; k < 3; ++k)
        v += left[i / cols * 3 + k] * right[i % cols * 3 + k] * (k == 0 ? 4.0f : k == 1 ? 2.0f : 1.0f);
      m[i] = T(v);
    }
    all.push_back(m);
  }
  return all;
}

template <class T = float, class C, class Strategy = automatic>
void check_factors(C const& c, int ranks, std::size_t n, std::size_t cols, step_options const& o = {},
                   double allowed = 1e-5, Strategy strategy = {}) {
  CAPTURE(text(c));
  CAPTURE(ranks);
  CAPTURE(n);
  auto const in = low_rank_inputs<T>(ranks, n, cols);
  int const steps = o.feedback ? 2 : 1;
  auto const device = support::steps_on<cuda_exec, T>(c, n, ranks, steps, constantly(in), o, strategy);
  auto const host = support::steps_on<host_exec, T>(c, n, ranks, steps, constantly(in), o, strategy);
  CHECK(support::all_same(device.out));
  CHECK(device.sent == host.sent);
  CHECK(distance(widened(device.out[0]), widened(host.out[0])) < allowed);
  for (std::size_t r = 0; o.feedback && r < in.size(); ++r) {
    // The residual is a small difference of large numbers: its error is measured by them.
    std::vector<float> moved(n);
    auto const x = widened(in[r]);
    for (std::size_t i = 0; i < n; ++i) moved[i] = x[i] + device.residual[r][i] - host.residual[r][i];
    CHECK(distance(moved, x) < (o.wrapper.residual == element_type::float32 ? allowed : 1e-2));
  }
}

/// The passes alone: payloads of either engine mean the same to both, and what the device sends and keeps is close to
/// the host's. `skip`: the tensor starts so many values after a boundary.
template <class T = float, class C>
void check_factor_passes(C const& c, std::size_t n, std::size_t cols, std::size_t skip = 0, double allowed = 1e-5) {
  CAPTURE(text(c));
  CAPTURE(n);
  auto const x = low_rank_inputs<T>(1, n, cols)[0];
  auto const old = support::narrowed<T>(support::gaussian_values(n, 5, 0.1));
  auto const at = support::here;
  std::size_t const bytes = payload_bytes<T>(c, n);
  cuda_exec const ex;
  host_exec const host{1};
  workspace device_ws{ex};
  workspace ws{host};
  support::fenced<T> in(x, skip), out(std::vector<T>(n), skip), onto(old, skip);
  support::fenced<std::byte> coded{std::vector<std::byte>(bytes, std::byte{0x5a})};
  CHECK(encode(ex, c, in.span(), coded.span(), device_ws, at) == bytes);
  support::host_bytes own(bytes), theirs(bytes);
  encode(host, c, x, own.span(), ws, at);
  std::ranges::copy(coded.values(), theirs.span().begin());

  std::vector<T> of_own(n), of_theirs(n);
  decode(host, c, own.span(), of_own, ws, at);
  decode(host, c, theirs.span(), of_theirs, ws, at);
  CHECK(distance(widened(of_theirs), widened(of_own)) < allowed);
  decode(ex, c, coded.span(), out.span(), device_ws, at);
  CHECK(widened(out.values()) == widened(of_theirs));  // zeros may differ in sign
  auto sum = old;
  decode_accumulate(host, c, theirs.span(), sum, ws, at);
  decode_accumulate(ex, c, coded.span(), onto.span(), device_ws, at);
  CHECK(distance(widened(onto.values()), widened(sum)) < 1e-6);

  auto residual = support::gaussian_values(n, 6, 0.1);
  support::fenced<float> rest(residual, skip);
  encode_feedback(ex, c, in.span(), rest.span(), coded.span(), device_ws, at, 0.75f);
  encode_feedback(host, c, x, std::span(residual), own.span(), ws, at, 0.75f);
  device_ws.check();
  std::ranges::copy(coded.values(), theirs.span().begin());
  decode(host, c, own.span(), of_own, ws, at);
  decode(host, c, theirs.span(), of_theirs, ws, at);
  CHECK(distance(widened(of_theirs), widened(of_own)) < allowed);
  auto const kept = rest.values();
  auto moved = widened(x);  // the residual is a small difference of large numbers: its error is measured by them
  for (std::size_t i = 0; i < n; ++i) moved[i] += kept[i] - residual[i];
  CHECK(distance(moved, widened(x)) < allowed);
}

/// Columns [rank] of a tall matrix [rows], on the device and back.
std::vector<float> orthonormal(std::vector<float> const& columns, std::size_t rows, std::uint32_t rank,
                               unsigned* is_bad = nullptr) {
  cuda_exec const ex;
  device_array<float> const p(columns);
  device_array<unsigned> const bad(std::vector<unsigned>(1));
  device_array<std::byte> const memory(detail::orthonormal_scratch_bytes(rows, rank));
  detail::scratch room({memory.data(), memory.size()});
  detail::orthonormalise(ex, p.data(), rows, rank, bad.data(), room);
  ex.synchronize();
  if (is_bad) *is_bad = bad.values()[0];
  return p.values();
}

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("cuda power_sgd: columns become orthonormal and span what they spanned") {
  support::watchdog const guard("cuda orthonormal", std::chrono::seconds(240));
  struct shape {
    std::size_t rows;
    std::uint32_t rank;
  };
  // One slab, as square as can be; several; more columns than warps; slabs on two levels.
  for (shape const s : {shape{1, 1}, {5, 5}, {700, 1}, {1024, 3}, {5001, 4}, {1100, 37}, {140000, 4}}) {
    auto const rows = s.rows;
    auto const rank = s.rank;
    CAPTURE(rows);
    CAPTURE(rank);
    for (bool const dependent : {false, true}) {
      auto p = support::gaussian_values(rows * rank, rank + 5);
      if (dependent && rank > 2)  // one column twice, one of zeros
        for (std::size_t i = 0; i < rows; ++i) {
          p[i * rank + 1] = 3 * p[i * rank];
          p[i * rank + 2] = 0;
        }
      auto const q = orthonormal(p, rows, rank);
      double off = 0, lost = 0, size = 0;
      std::vector<double> along(rank * rank);
      for (std::size_t a = 0; a < rank; ++a)
        for (std::size_t b = 0; b < rank; ++b) {
          double dot = 0, of_p = 0;
          for (std::size_t i = 0; i < rows; ++i) {
            auto const q_a = static_cast<double>(q[i * rank + a]);
            dot += q_a * static_cast<double>(q[i * rank + b]);
            of_p += q_a * static_cast<double>(p[i * rank + b]);
          }
          off = std::max(off, std::abs(dot - (a == b ? 1 : 0)));
          along[a * rank + b] = of_p;
        }
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t b = 0; b < rank; ++b) {
          auto rest = static_cast<double>(p[i * rank + b]);
          size += rest * rest;
          for (std::size_t a = 0; a < rank; ++a) rest -= static_cast<double>(q[i * rank + a]) * along[a * rank + b];
          lost += rest * rest;
        }
      CHECK(off < 3e-7);
      CHECK(std::sqrt(lost / size) < 3e-7);
    }
  }
  auto p = support::gaussian_values(2000 * 3, 1);
  unsigned bad = 0;
  orthonormal(p, 2000, 3, &bad);
  CHECK(bad == 0);
  p[1999 * 3] = infinity;
  orthonormal(p, 2000, 3, &bad);
  CHECK(bad == 1);
}

TEST_CASE("cuda power_sgd: close to the host, the same bits on every rank") {
  support::watchdog const guard("cuda power_sgd", std::chrono::seconds(240));
  for (int const ranks : {1, 2, 3, 4}) check_factors(power_sgd{.rank = 3, .rows = 30}, ranks, 30 * 32, 32);
  check_factors(power_sgd{.rank = 4}, 2, 5003, 80);                     // the last row is short
  check_factors(power_sgd{.rank = 1, .rows = 40}, 2, 40 * 37 - 5, 37);  // rows of odd length
  check_factors(power_sgd{.rank = 7, .rows = 30}, 2, 30 * 64, 64, {.feedback = false}, 1e-4);
  check_factors(power_sgd{.rank = 3, .rows = 41}, 2, 41 * 51 - 7, 51, {.feedback = false},
                1e-4);  // M is the tensor, but for its end
  check_factors(power_sgd{.rank = 2, .rows = 1100}, 2, 1100 * 10, 10,
                {.op = reduction::sum, .wrapper = {.decay = 0.5f}});
}

TEST_CASE("cuda power_sgd: behind transforms, other types") {
  check_factors(hadamard_rotate{.block = 64} | power_sgd{.rank = 3, .rows = 64}, 2, 64 * 64, 64);
  check_factors(hadamard_rotate{.block = 128} | power_sgd{.rank = 3, .rows = 41}, 2, 41 * 51 - 7, 51,
                {.feedback = false}, 1e-4);
  check_factors(power_sgd{.rank = 3}, 2, 3001, 64, {.wrapper = {.residual = element_type::bfloat16}}, 1e-2);
  check_factors<bfloat16>(power_sgd{.rank = 3, .rows = 50}, 2, 2000, 40, {}, 1e-2);
  check_factors<float16>(power_sgd{.rank = 3, .rows = 50}, 2, 2000, 40, {.feedback = false}, 1e-3);
}

TEST_CASE("cuda power_sgd: passes, close to the host's; payloads of either engine mean the same to both") {
  check_factor_passes(power_sgd{.rank = 3, .rows = 30}, 30 * 32, 32);
  check_factor_passes(power_sgd{.rank = 3, .rows = 41, .seed = 5}, 41 * 51 - 7, 51, 1);  // the last row is short
  check_factor_passes<bfloat16>(power_sgd{.rank = 3, .rows = 50}, 2000, 40, 3);
  check_factor_passes(hadamard_rotate{.block = 64} | power_sgd{.rank = 3, .rows = 64}, 64 * 64, 64);
  // A code may fall to either side: one part in 2^9, or in 2^8 of a block's range.
  check_factor_passes(power_sgd{.rank = 3, .rows = 30} | cast<bfloat16>{}, 30 * 32, 32, 0, 1e-2);
  check_factor_passes<float16>(power_sgd{.rank = 3, .rows = 30} | uniform_quantize<8>{}, 30 * 32, 32, 0, 2e-2);
}

TEST_CASE("cuda power_sgd: gather and two_shot") {
  support::watchdog const guard("cuda power_sgd strategies", std::chrono::seconds(240));
  power_sgd const c{.rank = 3, .rows = 30};
  check_factors(c, 3, 30 * 64, 64, {}, 1e-4, gather{});
  check_factors(c, 2, 60 * 64 - 5, 64, {.op = reduction::sum, .feedback = false}, 1e-4, two_shot{});
  check_factors<bfloat16>(c, 2, 60 * 64, 64, {}, 2e-2, two_shot{});
  check_factors(hadamard_rotate{.block = 64} | c, 2, 30 * 64, 64, {.wrapper = {.residual = element_type::bfloat16}},
                1e-3, gather{});
}

TEST_CASE("cuda power_sgd: passes of small tensors have the host's bits") {
  for (std::size_t const n : {0u, 1u, 60u}) {
    auto x = support::same_gaussian_values(n, 1);
    support::check_passes<float>(power_sgd{}, x, 1);
    support::check_passes<bfloat16>(power_sgd{} | uniform_quantize<8>{}, support::narrowed<float16>(x), 0);
    if (n > 7) x[7] = not_a_number, x[9] = infinity;
    support::check_passes<float>(hadamard_rotate{.block = 32} | power_sgd{}, x, 0);
    support::check_passes<bfloat16>(power_sgd{}, x, 0);
    if (n > 0) support::check_sums(power_sgd{}, x);
    if (n > 0) support::check_chunks(power_sgd{}, x, 16, 4);
  }
}

TEST_CASE("cuda power_sgd: a pass of values that are not finite sends NaN, and the residual keeps what it can") {
  std::size_t const n = 40 * 50 - 3;
  power_sgd const c{.rank = 2, .rows = 40};
  for (float const poison : {not_a_number, -infinity, 1e37f}) {
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
    cudaStreamBeginCapture(ex.stream(), cudaStreamCaptureModeThreadLocal);
    CHECK_THROWS_WITH_AS(encode(ex, c, in.span(), coded.span(), fresh),
                         doctest::Contains("power_sgd: the stream records a graph and the workspace is new"),
                         invalid_argument);
    cudaGraph_t empty = nullptr;
    cudaStreamEndCapture(ex.stream(), &empty);
    std::size_t nodes = 9;
    CHECK(cudaGraphGetNodes(empty, nullptr, &nodes) == cudaSuccess);
    CHECK(nodes == 0);
    CHECK(cudaGraphDestroy(empty) == cudaSuccess);
  }
}

TEST_CASE("cuda power_sgd: small tensors are sent as they are, with the host's bits") {
  for (std::size_t const n : {0u, 1u, 60u})
    for (auto const residual : {element_type::float32, element_type::bfloat16}) {
      CAPTURE(n);
      auto in = support::gradients(2, n);
      if (n > 7) in[1][7] = not_a_number;
      step_options const o{.wrapper = {.residual = residual, .decay = 0.5f}};
      auto const c = hadamard_rotate{.block = 32} | power_sgd{};
      auto const device = support::on_gpu_ranks<float>(c, n, 2, 2, constantly(in), o);
      auto const host = support::on_host_ranks<float>(c, n, 2, 2, constantly(in), o);
      CHECK(same_bits(device.out, host.out));
      CHECK(same_bits(device.residual, host.residual));
      CHECK(device.sent == host.sent);
    }
}

TEST_CASE("cuda power_sgd: what is not finite on one rank makes the tensor NaN on all, and changes nothing else") {
  support::watchdog const guard("cuda power_sgd NaN", std::chrono::seconds(240));
  std::size_t const n = 40 * 50 - 3;
  auto const in = low_rank_inputs<float>(2, n, 50);
  power_sgd const c{.rank = 2, .rows = 40};
  auto const before = support::on_gpu_ranks<float>(c, n, 2, 1, constantly(in));
  // 1e37 is finite, but the factor Q is not to be multiplied any more.
  for (float const poison : {not_a_number, -infinity, 1e37f}) {
    CAPTURE(poison);
    support::inputs_of<float> const brings = [&](int r, int t) {
      auto x = in[static_cast<std::size_t>(r)];
      if (r == 1 && t == 1) x[n - 1] = poison;
      return x;
    };
    auto const after = support::on_gpu_ranks<float>(c, n, 2, 2, brings);
    for (auto const& row : after.out)
      for (float const v : row) REQUIRE(std::bit_cast<std::uint32_t>(v) == 0x7fc00000u);
    // Residual and warm start, behind what says which step was last.
    for (std::size_t r = 0; r < 2; ++r)
      CHECK(std::equal(after.saved[r].begin() + 80, after.saved[r].end(), before.saved[r].begin() + 80,
                       before.saved[r].end()));
  }
}

TEST_CASE("cuda power_sgd: a start that vanished is drawn anew, with the host's bits") {
  power_sgd const c{.rank = 3, .rows = 50, .seed = 11};
  std::size_t const n = 50 * 43;
  support::per_rank<float> const zero(2, std::vector<float>(n));
  auto const device = support::on_gpu_ranks<float>(c, n, 2, 1, constantly(zero), {.first = 0});
  auto const fresh = error_feedback(c, n).save();  // drawn for step 0 and tensor 0, too
  CHECK(std::equal(device.saved[1].begin() + 80, device.saved[1].end(), fresh.begin() + 80, fresh.end()));
  for (float const v : device.out[0]) REQUIRE(v == 0.0f);
}

TEST_CASE("cuda power_sgd: with feedback the mean of the outputs converges as 1/T") {
  support::watchdog const guard("cuda power_sgd feedback", std::chrono::seconds(240));
  std::size_t const n = 24 * 32;
  auto in = support::per_rank<float>(2, support::gaussian_values(n, 3));
  for (std::size_t i = 0; i < n; ++i) in[1][i] *= 1.5f;
  auto const want = support::exact_sum(in);
  std::vector<double> sum(n), errors;
  support::on_gpu_ranks<float>(power_sgd{.rank = 4, .rows = 24}, n, 2, 32, constantly(in), {.op = reduction::sum},
                               [&](int t, std::vector<float> const& out) {
                                 std::vector<double> error(n);
                                 for (std::size_t i = 0; i < n; ++i)
                                   error[i] = (sum[i] += static_cast<double>(out[i])) / (t + 1) - want[i];
                                 errors.push_back(support::norm(error) / support::norm(want));
                               });
  CHECK(errors[0] > 0.02);
  CHECK(errors[31] < 0.3 * errors[7]);  // a quarter, if it falls as 1/T
}
