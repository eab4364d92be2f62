#include <support/ranks.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using support::erase;
using support::how;
using support::per_rank;

TEST_CASE("the mean of finite halves is finite and the same by gather and two_shot, to the rounding of the carrier") {
  using namespace ccomp;
  for (int const ranks : {3, 4}) {
    thread_group group(ranks);
    for (float const v : {16000.0f, 17000.0f, 60000.0f, 65504.0f}) {
      auto same = [&](auto const& c, auto zero, double off) {
        using T = decltype(zero);
        std::vector<T> x(4000, T(0.01f));
        for (std::size_t i = 0; i < 4; ++i) x[1000 * i] = T(v);
        per_rank<T> const in(static_cast<std::size_t>(ranks), x);
        for (how const h : {how::automatic, how::gather, how::two_shot}) {
          auto const got = support::allreduce_all(group, h, c, in, {.at = 1});
          CAPTURE(c.text());
          CAPTURE(support::name_of(h));
          for (std::size_t i = 0; i < 4; ++i)
            CHECK(std::abs(double(static_cast<float>(got.out[0][1000 * i])) / double(v) - 1) <= off);
        }
      };
      same(erase(top_k{.ratio = 0.01}), float16{}, 0x1p-9);
      same(erase(threshold{.value = 1}), float16{}, 0x1p-9);
      same(erase(uniform_quantize<8>{}), float16{}, 0x1p-7);
      same(erase(top_k{.ratio = 0.01} | cast<float16>{}), 0.0f, 0x1p-9);
      same(erase(cast<float16>{}), 0.0f, 0x1p-9);
      same(erase(natural{}), float16{}, 1.0);
    }
  }
}
TEST_CASE("what ranks selected once is not selected again: two_shot has what gather has, and reselect has less") {
  using namespace ccomp;
  constexpr std::size_t n = 6000;
  auto const in = support::gradients(3, n);
  auto const want = support::exact_sum(in);
  thread_group group(3);
  auto error = [&](auto const& c, auto strategy, std::size_t& overflowed) {
    double off = 0, size = 0;
    group.run([&](thread_communicator& comm) {
      ccomp::workspace<host_exec> ws{{1}};
      auto x = in[static_cast<std::size_t>(comm.rank())];
      auto const report = ccomp::allreduce(host_exec{1}, comm, c, x, ws, {.op = reduction::sum, .at = 4}, strategy);
      if (comm.rank() != 0) return;
      overflowed = report.overflowed;
      for (std::size_t i = 0; i < n; ++i) {
        off += (double(x[i]) - want[i]) * (double(x[i]) - want[i]);
        size += want[i] * want[i];
      }
    });
    return std::sqrt(off / size);
  };
  std::size_t lost = 0;
  auto check = [&](auto const& c) {
    CAPTURE(text(c));
    double const once = error(c, two_shot{}, lost), twice = error(c, two_shot{.reselect = true}, lost);
    CHECK(once < twice);
    // Chunks are selected from by themselves, which costs a little.
    CHECK(once < 1.1 * error(c, gather{}, lost));
    CHECK(error(c, automatic{}, lost) < 1.1 * once);
  };
  check(top_k{.ratio = 0.05});
  check(top_k{.ratio = 0.05} | uniform_quantize<8>{});
  check(any_compressor(top_k{.ratio = 0.05} | uniform_quantize<8>{}));
  check(hadamard_rotate{.block = 256} | top_k{.ratio = 0.05});
  check(threshold{.relative = 2.5f, .capacity_ratio = 0.2});
  // A bound that all values reach: the report counts those that found no room, and the sum has room for the others.
  static_cast<void>(error(threshold{.value = 1e-30f, .capacity_ratio = 0.25}, gather{}, lost));
  CHECK(lost == n - n / 4);
  static_cast<void>(error(threshold{.value = 1e-30f, .capacity_ratio = 0.25}, two_shot{}, lost));
  CHECK(lost == n - n / 4);
  static_cast<void>(error(top_k{.ratio = 0.01}, two_shot{}, lost));
  CHECK(lost == 0);
}
