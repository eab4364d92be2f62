#include <support/codec.hpp>
#include <support/float_bits.hpp>
#include <support/ranks.hpp>

#include <ccomp/codec.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <functional>
#include <limits>

using support::erase;
using support::erased;
using support::how;
using support::per_rank;

namespace {

constexpr std::size_t sizes[] = {0, 1, 2, 31, 33, 511, 512, 513, 4095, 4096, 4097, 100003};
constexpr int rank_counts[] = {1, 2, 3, 4, 7, 8};

/// How far one rounding may be off.
struct rounding_model {
  double of_block_max = 0, of_value = 0, absolute = 0;
};
/// fp32 accumulation, and the rounding of the result to T.
template <class T> constexpr double sum_unit = 0x1p-23;
template <class T> double result_rounding(double value) {
  if constexpr (std::same_as<T, ccomp::float16>) return std::abs(value) * 0x1p-11 + 0x1p-25;
  if constexpr (std::same_as<T, ccomp::bfloat16>) return std::abs(value) * 0x1p-8;
  return 0;
}

/// The largest error over the error that theory allows; above 1 is wrong. Every payload is one rounding of its block
/// (512 values here), two_shot rounds the sum once more.
template <class T>
double error_over_bound(per_rank<T> const& in, std::vector<T> const& out, rounding_model m, bool twice, bool mean) {
  constexpr std::size_t block = 512;
  std::size_t const n = out.size(), ranks = in.size();
  auto const want = support::exact_sum(in);
  double worst = 0;
  for (std::size_t first = 0; first < n; first += block) {
    std::size_t const end = std::min(n, first + block);
    std::vector<double> allowed(end - first), magnitude(end - first);
    for (auto const& row : in) {
      double top = 0;
      for (std::size_t i = first; i < end; ++i) top = std::max(top, std::abs(double(static_cast<float>(row[i]))));
      for (std::size_t i = first; i < end; ++i) {
        double const x = std::abs(double(static_cast<float>(row[i])));
        allowed[i - first] += m.of_block_max * top + m.of_value * x + m.absolute;
        magnitude[i - first] += x;
      }
    }
    double top_sum = 0;
    for (std::size_t i = first; i < end; ++i) {
      allowed[i - first] += sum_unit<T> * double(ranks) * magnitude[i - first];
      top_sum = std::max(top_sum, std::abs(want[i]) + allowed[i - first]);
    }
    for (std::size_t i = first; i < end; ++i) {
      double bound = allowed[i - first];
      if (twice) bound += m.of_block_max * top_sum + m.of_value * (std::abs(want[i]) + bound) + m.absolute;
      double const divisor = mean ? double(ranks) : 1.0;
      double const value = want[i] / divisor, got = double(static_cast<float>(out[i]));
      bound = bound / divisor + result_rounding<T>(std::abs(value) + bound / divisor) + 0x1p-23 * std::abs(value);
      double const error = std::abs(got - value);
      worst = std::max(worst, error == 0 ? 0 : bound > 0 ? error / bound : std::numeric_limits<double>::infinity());
      if (std::isnan(got)) return std::numeric_limits<double>::infinity();
    }
  }
  return worst;
}

/// What architecture.md says a rank sends: slots of a 32-byte header and one payload.
std::size_t formula_bytes(how h, std::size_t ranks, std::size_t whole, std::size_t chunk) {
  if (h == how::gather) return (ranks - 1) * (32 + whole);
  if (h == how::two_shot) return 2 * (ranks - 1) * (32 + chunk);
  return 2 * (ranks - 1) * whole / ranks;
}
std::size_t chunk_values(std::size_t n, std::size_t ranks, std::size_t granule) {
  std::size_t const each = (n + ranks - 1) / ranks;
  return (each + granule - 1) / granule * granule;
}

struct sweep_case {
  erased compressor;
  rounding_model model;
  bool flies = false;
};

/// Every rank count, size, operation and strategy; one group.run for each rank count, since threads cost the most.
template <class T> void sweep(sweep_case const& s) {
  support::watchdog const guard("allreduce sweep", std::chrono::seconds(300));
  std::vector<how> strategies{how::automatic, how::gather, how::two_shot};
  if (s.flies) strategies.push_back(how::in_flight);
  for (int const ranks : rank_counts) {
    ccomp::thread_group group(ranks);
    struct one {
      std::size_t n;
      how h;
      ccomp::reduction op;
      per_rank<T> in, out;
      std::vector<ccomp::collective_report> reports;
    };
    std::vector<one> calls;
    for (std::size_t const n : sizes) {
      auto const in = support::gradients<T>(ranks, n, n + 1);
      for (how const h : strategies)
        for (auto const op : {ccomp::reduction::sum, ccomp::reduction::mean}) {
          if (n > 5000 && op == ccomp::reduction::sum && ranks != 3) continue;
          calls.push_back({n, h, op, in, in, std::vector<ccomp::collective_report>(in.size())});
        }
    }
    group.run([&](ccomp::thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      ccomp::workspace<ccomp::host_exec> ws;
      for (auto& c : calls)
        c.reports[r] = support::allreduce_by(c.h, {1}, comm, s.compressor, c.out[r], ws, {.op = c.op, .at = 5});
    });
    auto const count = static_cast<std::size_t>(ranks);
    for (auto const& c : calls) {
      std::string const used(c.reports[0].strategy);
      CAPTURE(s.compressor.text());
      CAPTURE(ranks);
      CAPTURE(c.n);
      CAPTURE(support::name_of(c.h));
      CAPTURE(used);
      CHECK(support::all_same(c.out));
      double const over = error_over_bound(c.in, c.out[0], s.model, used == "two_shot", c.op == ccomp::reduction::mean);
      CHECK(over <= 1);
      if (c.n > 4000 && s.model.of_block_max > 0) CHECK(over > 0.05);  // the bound is no blank cheque

      std::size_t const whole = ccomp::payload_bytes<T>(s.compressor, c.n);
      std::size_t const chunk = ccomp::payload_bytes<T>(s.compressor, chunk_values(c.n, count, s.flies ? 256 : 512));
      how const resolved = used == "gather" ? how::gather : used == "two_shot" ? how::two_shot : how::in_flight;
      if (c.h != how::automatic) CHECK(resolved == c.h);
      for (auto const& report : c.reports) {
        CHECK(report.strategy == used);
        CHECK(report.bytes_sent == formula_bytes(resolved, count, whole, chunk));
        CHECK((c.n == 0 || report.workspace_bytes > 0));
        if (resolved != how::two_shot) CHECK(report.payload_bytes == whole);
      }
      if (c.h == how::automatic && !s.flies) {
        std::size_t const a = formula_bytes(how::gather, count, whole, chunk),
                          b = formula_bytes(how::two_shot, count, whole, chunk);
        CHECK(c.reports[0].bytes_sent == std::min(a, b));
      }
      if (c.h == how::automatic && s.flies) CHECK(used == "in_flight");
    }
  }
}

std::vector<sweep_case> quantized() {
  using ccomp::uniform_quantize;
  double const up = 1 + 0x1p-14;  // scales are rounded up
  return {{erase(uniform_quantize<8>{}), {.of_block_max = up / 127 / 2}},
          {erase(uniform_quantize<4>{.round = ccomp::rounding::stochastic}), {.of_block_max = up / 7}},
          {erase(uniform_quantize<3>{.range = ccomp::code_range::min_max}), {.of_block_max = 2 * up / 7 / 2}}};
}

}  // namespace

TEST_CASE("allreduce of float: near the float64 sum by every strategy, the same bits on every rank") {
  for (auto const& s : quantized()) sweep<float>(s);
}
TEST_CASE("allreduce of float16 and bfloat16") {
  sweep<ccomp::float16>(quantized()[0]);
  sweep<ccomp::bfloat16>(quantized()[1]);
}
TEST_CASE("allreduce of linear compressors also flies") {
  // float16 carriers are divided by up to 8 before they are summed: subnormals lose so many bits.
  sweep_case const half{erase(ccomp::cast<ccomp::float16>{}), {.of_value = 0x1p-10, .absolute = 0x1p-22}, true};
  sweep<float>(half);
  sweep<ccomp::float16>(half);
  sweep<float>({erase(ccomp::cast<ccomp::bfloat16>{}), {.of_value = 0x1p-7}, true});
  sweep<ccomp::bfloat16>({erase(ccomp::scale{4.0f} | ccomp::cast<ccomp::bfloat16>{}), {.of_value = 0x1p-7}, true});
}

TEST_CASE("float16 sums in flight neither overflow nor lose their order of magnitude") {
  for (int const ranks : {2, 3, 8}) {
    ccomp::thread_group group(ranks);
    per_rank<float> const in(static_cast<std::size_t>(ranks), std::vector<float>(1000, 60000.0f));
    auto const got = support::allreduce_all(group, how::in_flight, erase(ccomp::cast<ccomp::float16>{}), in,
                                            {.op = ccomp::reduction::mean});
    for (float const v : got.out[0]) REQUIRE(std::abs(v - 60000.0f) <= 60000.0f * 0x1p-9f);
  }
}

namespace {

/// What gather must give to the bit, from the public passes: fp32 sum of the decoded payloads in rank order.
std::vector<float> gather_by_hand(erased const& c, per_rank<float> const& in, bool mean, ccomp::step at) {
  std::vector<float> sum;
  for (std::uint32_t r = 0; r < in.size(); ++r) {
    ccomp::pass_options const options{.at = at, .tensor = 9, .rank = r};
    auto const one = support::decoded(c, support::encoded(c, in[r], options), in[r].size(), options);
    if (r == 0) sum = one;
    for (std::size_t i = 0; r > 0 && i < sum.size(); ++i) sum[i] += one[i];
  }
  if (mean && in.size() > 1)
    for (float& v : sum) v /= static_cast<float>(in.size());
  return sum;
}
/// A compressor, what encodes sums of so many of its payloads, and whether that is in float16.
struct by_hand {
  erased c;
  std::function<erased(std::size_t)> sum_of;
  bool halves = false;
};
/// The same for two_shot; only for compressors that draw no random numbers.
std::vector<float> two_shot_by_hand(by_hand const& how, per_rank<float> const& in, bool mean, std::size_t granule) {
  erased const& c = how.c;
  erased const sums = how.sum_of(in.size());
  // float16 carriers of sums are scaled by a power of two of at least the number of ranks.
  float const up = how.halves ? static_cast<float>(std::bit_ceil(in.size())) : 1.0f;
  std::size_t const n = in[0].size(), chunk = chunk_values(n, in.size(), granule);
  std::vector<float> result(n);
  for (std::size_t first = 0; first < n; first += chunk) {
    std::size_t const size = std::min(chunk, n - first);
    per_rank<float> part;
    for (auto const& row : in)
      part.emplace_back(row.begin() + std::ptrdiff_t(first), row.begin() + std::ptrdiff_t(first + size));
    auto sum = gather_by_hand(c, part, false, 0);
    for (float& v : sum) v /= up;
    auto const back = support::decoded(sums, support::encoded(sums, sum), size);
    for (std::size_t i = 0; i < size; ++i) result[first + i] = mean ? back[i] * up / float(in.size()) : back[i] * up;
  }
  return result;
}

std::vector<by_hand> deterministic() {
  using namespace ccomp;
  auto block = [](auto c, bool halves = false) {
    return by_hand{erase(c), [c](std::size_t) { return erase(c); }, halves};
  };
  auto sparse = [](top_k k, auto tail, bool halves = false) {
    return by_hand{erase(k | tail), [=](std::size_t w) { return erase(k.sum_of(w) | tail); }, halves};
  };
  return {block(uniform_quantize<8>{}),
          block(uniform_quantize<2>{.block = 64, .range = code_range::min_max}),
          block(sign_quantize{}),
          block(cast<float16>{}, true),
          block(cast<fp8_e4m3>{}),
          {erase(top_k{.ratio = 0.1}), [](std::size_t w) { return erase(top_k{.ratio = 0.1}.sum_of(w)); }},
          sparse({.ratio = 0.05}, uniform_quantize<4>{.block = 32}),
          sparse({.ratio = 0.2}, cast<bfloat16>{}),
          sparse({.ratio = 0.2}, cast<float16>{}, true)};
}

}  // namespace

TEST_CASE("gather and two_shot give what the passes give, put together by hand, to the bit") {
  support::watchdog const guard("by hand");
  for (int const ranks : {1, 2, 3, 7}) {
    ccomp::thread_group group(ranks);
    for (std::size_t const n : {1u, 255u, 513u, 4097u, 20011u})
      for (auto const& each : deterministic())
        for (bool const mean : {false, true}) {
          auto const& c = each.c;
          CAPTURE(c.text());
          CAPTURE(ranks);
          CAPTURE(n);
          auto const in = support::gradients(ranks, n, n);
          ccomp::allreduce_options const options{
              .op = mean ? ccomp::reduction::mean : ccomp::reduction::sum, .at = 0, .tensor = 9};
          auto const gathered = support::allreduce_all(group, how::gather, c, in, options);
          CHECK(support::same_bits(gathered.out[0], gather_by_hand(c, in, mean, 0)));
          auto const shot = support::allreduce_all(group, how::two_shot, c, in, options);
          auto const head = c.stages()[0];
          std::size_t const block = head.facts->quantizer ? head.facts->quantizer->block(head.stage) : 1;
          auto const want = two_shot_by_hand(each, in, mean, std::max<std::size_t>(256, block));
          CHECK(support::same_bits(shot.out[0], want));
        }
  }
}
TEST_CASE("gather of stochastic codes draws other bits for each rank, step and tensor, and the same for the same") {
  auto const c = erase(ccomp::uniform_quantize<3>{.round = ccomp::rounding::stochastic});
  ccomp::thread_group group(3);
  per_rank<float> const in(3, support::gaussian_values(5000, 3));  // the ranks' values are equal: only the bits differ
  ccomp::allreduce_options const options{.op = ccomp::reduction::sum, .at = 7, .tensor = 9};
  for (how const h : {how::gather, how::two_shot}) {
    CAPTURE(support::name_of(h));
    auto const first = support::allreduce_all(group, h, c, in, options).out[0];
    if (h == how::gather) CHECK(support::same_bits(first, gather_by_hand(c, in, false, 7)));
    CHECK(support::same_bits(first, support::allreduce_all(group, h, c, in, options).out[0]));
    auto other = options;
    other.at = 8;
    CHECK_FALSE(support::same_bits(first, support::allreduce_all(group, h, c, in, other).out[0]));
    other = options;
    other.tensor = 10;
    CHECK_FALSE(support::same_bits(first, support::allreduce_all(group, h, c, in, other).out[0]));
  }
  // Unbiased: the mean over steps falls well below one step's error, also under two_shot's second rounding.
  for (how const h : {how::gather, how::two_shot}) {
    std::vector<double> mean(in[0].size());
    double one_step = 0;
    constexpr int steps = 64;
    for (int t = 0; t < steps; ++t) {
      auto const out =
          support::allreduce_all(group, h, c, in, {.op = ccomp::reduction::mean, .at = ccomp::step(t)}).out[0];
      double error = 0;
      for (std::size_t i = 0; i < mean.size(); ++i) {
        mean[i] += double(out[i]) / steps;
        error += std::pow(double(out[i]) - double(in[0][i]), 2);
      }
      one_step += std::sqrt(error) / steps;
    }
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] -= double(in[0][i]);
    CHECK(support::norm(mean) < one_step / 6);  // 1 / 8 in theory
  }
}

TEST_CASE("two_shot's second rounding draws bits of its own, by owner, place and phase") {
  auto const c = erase(ccomp::uniform_quantize<3>{.round = ccomp::rounding::stochastic});
  constexpr std::size_t chunk = 1024;
  ccomp::thread_group group(2);
  auto const in = support::gradients(2, 2 * chunk);
  auto const out =
      support::allreduce_all(group, how::two_shot, c, in, {.op = ccomp::reduction::sum, .at = 7, .tensor = 9}).out[0];
  std::size_t const bytes = ccomp::payload_bytes(c, chunk);
  auto const random_at = [](std::uint32_t rank, std::uint8_t phase, std::size_t first) {
    ccomp::detail::pass_context context({1}, {.at = 7, .tensor = 9, .rank = rank});
    context.phase = phase;
    context.first = first;
    return context;
  };
  using ccomp::element_type;
  for (std::uint32_t owner = 0; owner < 2; ++owner)
    for (std::uint8_t const phase : {std::uint8_t{0}, std::uint8_t{1}}) {
      std::size_t const first = owner * chunk;
      std::vector<float> sum(chunk), back(chunk);
      support::payload_buffer payload(bytes);
      auto const there_and_back = [&](float const* x, ccomp::detail::pass_context const& at) {
        ccomp::detail::encode(c.stages(), at, {x, element_type::float32, chunk}, element_type::float32, {}, payload,
                              {});
        std::byte const* const one[] = {payload.bytes().data()};
        ccomp::detail::sum_decoded(c.stages(), at, one, bytes, element_type::float32,
                                   {back.data(), element_type::float32, chunk}, 1.0f, {});
      };
      for (std::uint32_t r = 0; r < 2; ++r) {
        there_and_back(in[r].data() + first, random_at(r, 0, first));
        for (std::size_t i = 0; i < chunk; ++i) sum[i] += back[i];
      }
      there_and_back(sum.data(), random_at(owner, phase, first));
      bool const same = std::equal(back.begin(), back.end(), out.begin() + static_cast<std::ptrdiff_t>(first));
      CHECK(same == (phase == 1));  // with the bits of the first rounding, errors of the two would go together
    }
}

TEST_CASE("the same bits for every instruction set and number of threads") {
  support::watchdog const guard("every exec", std::chrono::seconds(300));
  using namespace ccomp;
  std::vector<erased> list;
  for (auto const& each : deterministic()) list.push_back(each.c);
  list.push_back(erase(uniform_quantize<4>{.round = rounding::stochastic}));
  list.push_back(erase(hadamard_rotate{.seed = 42} | uniform_quantize<5>{.round = rounding::stochastic}));
  list.push_back(erase(top_k{.ratio = 0.1} | uniform_quantize<3>{.round = rounding::stochastic}));
  thread_group group(3);
  auto const in = support::gradients(3, 40003, 4);
  auto const narrow = support::gradients<bfloat16>(3, 40003, 4);
  for (auto const& c : list)
    for (how const h : {how::gather, how::two_shot, how::in_flight}) {
      if (h == how::in_flight && !detail::is_linear(c.stages())) continue;
      CAPTURE(c.text());
      CAPTURE(support::name_of(h));
      auto const want = support::allreduce_all(group, h, c, in, {.at = 3}, {1, instruction_set::baseline}).out[0];
      auto const want_narrow =
          support::allreduce_all(group, h, c, narrow, {.at = 3}, {1, instruction_set::baseline}).out[0];
      for (auto const& ex : support::host_execs()) {
        CHECK(support::same_bits(support::allreduce_all(group, h, c, in, {.at = 3}, ex).out[0], want));
        CHECK(support::same_bits(support::allreduce_all(group, h, c, narrow, {.at = 3}, ex).out[0], want_narrow));
      }
    }
}
TEST_CASE("the ranks need not run on the same instruction set or number of threads") {
  ccomp::thread_group group(4);
  auto const c = erase(ccomp::uniform_quantize<4>{.round = ccomp::rounding::stochastic});
  auto const in = support::gradients(4, 30001);
  auto out = in;
  auto const execs = support::host_execs();
  group.run([&](ccomp::thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    auto const ex = execs[(r * 4) % execs.size()];
    ccomp::workspace<ccomp::host_exec> ws{ex};
    ccomp::allreduce(ex, comm, c, out[r], ws, {.at = 1}, ccomp::two_shot{});
  });
  CHECK(support::all_same(out));
  CHECK(support::same_bits(out[0], support::allreduce_all(group, how::two_shot, c, in, {.at = 1}).out[0]));
}

TEST_CASE("a value that is not finite spoils its block and no other") {
  using namespace ccomp;
  thread_group group(3);
  for (auto const& c : {erase(uniform_quantize<8>{}), erase(uniform_quantize<4>{.round = rounding::stochastic}),
                        erase(hadamard_rotate{.block = 512} | uniform_quantize<8>{})})
    for (how const h : {how::gather, how::two_shot})
      for (float const bad : {support::quiet_nan, -support::inf}) {
        auto in = support::gradients(3, 5000);
        in[1][1030] = bad;
        in[2][4999] = bad;
        auto const out = support::allreduce_all(group, h, c, in, {.at = 2}).out;
        CAPTURE(c.text());
        CAPTURE(support::name_of(h));
        CHECK(support::all_same(out));
        for (std::size_t i = 0; i < 5000; ++i) {
          bool const in_tail = c.stages().size() == 1 ? i >= 4608 : i >= 4992;
          bool const spoiled = (i >= 1024 && i < 1536) || in_tail;
          // A rotation of a short tail works on smaller blocks, but its scale spans them.
          if (c.stages().size() > 1 && i >= 4608) continue;
          REQUIRE(std::isfinite(out[0][i]) != spoiled);
          if (spoiled) REQUIRE(std::bit_cast<std::uint32_t>(out[0][i]) == 0x7fc00000u);
        }
        CHECK_FALSE(std::isfinite(out[0][4999]));
      }
}
TEST_CASE("a demand that cannot be met is refused before anything moves") {
  ccomp::thread_group group(2);
  auto const c = erase(ccomp::uniform_quantize<8>{});
  int refused = 0;
  std::mutex mutex;
  group.run([&](ccomp::thread_communicator& comm) {
    std::vector<float> x(100, 1.0f);
    ccomp::workspace<ccomp::host_exec> ws;
    try {
      ccomp::allreduce({1}, comm, c, x, ws, {}, ccomp::in_flight{});
    } catch (ccomp::invalid_argument const& e) {
      std::lock_guard const lock(mutex);
      refused += std::string(e.what()).find("cannot be summed in flight") != std::string::npos;
    }
    CHECK(x == std::vector<float>(100, 1.0f));
  });
  CHECK(refused == 2);
}
