#include <support/codec.hpp>
#include <support/ranks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

using ccomp::host_exec;
using ccomp::thread_communicator;
using ccomp::thread_group;
using support::erase;
using support::erased;
using support::per_rank;
using workspace = ccomp::workspace<host_exec>;

namespace {

constexpr std::size_t shard_sizes[] = {0, 1, 2, 31, 33, 511, 512, 513, 4097, 20011};

std::vector<erased> compressors() {
  using namespace ccomp;
  return {erase(uniform_quantize<8>{}),
          erase(uniform_quantize<3>{.round = rounding::stochastic}),
          erase(hadamard_rotate{.seed = 2} | uniform_quantize<4>{.block = 64}),
          erase(cast<float16>{}),
          erase(top_k{.ratio = 0.1}),
          erase(top_k{.ratio = 0.05} | uniform_quantize<4>{.round = rounding::stochastic})};
}
std::size_t slot(std::size_t payload) { return 32 + payload; }

template <class T>
double relative_error(std::vector<T> const& got, std::vector<double> const& want, std::size_t first, double divisor) {
  std::vector<double> off(got.size()), size(got.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    size[i] = want[first + i] / divisor;
    off[i] = static_cast<double>(static_cast<float>(got[i])) - size[i];
  }
  double const base = support::norm(size);
  return base > 0 ? support::norm(off) / base : support::norm(off);
}

template <class T> void check_allgather(int ranks) {
  thread_group group(ranks);
  auto const w = static_cast<std::size_t>(ranks);
  for (std::size_t const n : shard_sizes)
    for (auto const& c : compressors()) {
      CAPTURE(c.text());
      CAPTURE(ranks);
      CAPTURE(n);
      auto const in = support::gradients<T>(ranks, n, n);
      per_rank<T> full(w, std::vector<T>(w * n));
      std::vector<ccomp::collective_report> reports(w);
      bool untouched = true;
      group.run([&](thread_communicator& comm) {
        auto const r = static_cast<std::size_t>(comm.rank());
        workspace ws;
        auto const shard = in[r];
        reports[r] = ccomp::allgather({2}, comm, c, shard, full[r], ws, {.at = 4, .tensor = 3});
        if (!support::same_bits(shard, in[r])) untouched = false;
      });
      CHECK(untouched);
      CHECK(support::all_same(full));
      for (std::uint32_t r = 0; r < w; ++r) {
        auto const one = support::round_trip(c, in[r], {.at = 4, .tensor = 3, .rank = r});
        std::vector<T> const part(full[0].begin() + static_cast<std::ptrdiff_t>(r * n),
                                  full[0].begin() + static_cast<std::ptrdiff_t>((r + 1) * n));
        CHECK(support::same_bits(part, one));
        CHECK(reports[r].bytes_sent == (w - 1) * slot(ccomp::payload_bytes<T>(c, n)));
      }
    }
}
template <class T> void check_reduce_scatter(int ranks) {
  thread_group group(ranks);
  auto const w = static_cast<std::size_t>(ranks);
  for (std::size_t const n : shard_sizes)
    for (auto const& c : compressors())
      for (auto const op : {ccomp::reduction::sum, ccomp::reduction::mean}) {
        CAPTURE(c.text());
        CAPTURE(ranks);
        CAPTURE(n);
        auto const in = support::gradients<T>(ranks, w * n, n);
        per_rank<T> out(w, std::vector<T>(n)), again = out;
        std::vector<ccomp::collective_report> reports(w);
        bool untouched = true;
        group.run([&](thread_communicator& comm) {
          auto const r = static_cast<std::size_t>(comm.rank());
          workspace ws;
          auto const mine = in[r];
          reports[r] = ccomp::reduce_scatter({1}, comm, c, mine, out[r], ws, {.op = op, .at = 4, .tensor = 3});
          ccomp::reduce_scatter({2, ccomp::instruction_set::baseline}, comm, c, mine, again[r], ws,
                                {.op = op, .at = 4, .tensor = 3});
          if (!support::same_bits(mine, in[r])) untouched = false;
        });
        CHECK(untouched);
        auto const want = support::exact_sum(in);
        for (std::size_t r = 0; r < w; ++r) {
          CHECK(support::same_bits(out[r], again[r]));
          CHECK(reports[r].bytes_sent == (w - 1) * slot(ccomp::payload_bytes<T>(c, n)));
          double const divisor = op == ccomp::reduction::mean ? double(ranks) : 1;
          bool const sparse = c.text().find("top_k") != std::string::npos;
          bool const coarse = c.text().find("<3>") != std::string::npos || c.text().find("<4>") != std::string::npos;
          double const allowed = sparse ? 1.05 : coarse ? 1.5 : 0.04;
          if (n > 500) CHECK(relative_error(out[r], want, r * n, divisor) < allowed);
        }
        // To the bit, where no random numbers are drawn: the fp32 sum of each chunk's decoded payloads in rank order.
        if constexpr (std::same_as<T, float>) {
          if (c.text().find("stochastic") != std::string::npos || c.text().find("hadamard") != std::string::npos)
            continue;
          for (std::size_t r = 0; r < w; ++r) {
            std::vector<float> sum(n);
            for (std::size_t from = 0; from < w; ++from) {
              std::vector<float> const part(in[from].begin() + static_cast<std::ptrdiff_t>(r * n),
                                            in[from].begin() + static_cast<std::ptrdiff_t>((r + 1) * n));
              auto const one = support::round_trip(c, part);
              for (std::size_t i = 0; i < n; ++i) sum[i] = from == 0 ? one[i] : sum[i] + one[i];
            }
            if (op == ccomp::reduction::mean && w > 1)
              for (float& v : sum) v /= float(ranks);
            CHECK(support::same_bits(out[r], sum));
          }
        }
      }
}
template <class T> void check_broadcast(int ranks) {
  thread_group group(ranks);
  auto const w = static_cast<std::size_t>(ranks);
  for (std::size_t const n : shard_sizes)
    for (auto const& c : compressors())
      for (int const root : {0, ranks - 1}) {
        CAPTURE(c.text());
        CAPTURE(ranks);
        CAPTURE(n);
        auto const in = support::gradients<T>(ranks, n, n);
        auto out = in;
        std::vector<ccomp::collective_report> reports(w);
        group.run([&](thread_communicator& comm) {
          auto const r = static_cast<std::size_t>(comm.rank());
          workspace ws;
          reports[r] = ccomp::broadcast({2}, comm, c, out[r], root, ws, {.at = 4, .tensor = 3});
        });
        auto const from = static_cast<std::size_t>(root);
        CHECK(support::all_same(out));
        CHECK(support::same_bits(
            out[0],
            support::round_trip(c, in[from], {.at = 4, .tensor = 3, .rank = static_cast<std::uint32_t>(root)})));
        for (std::size_t r = 0; r < w; ++r)
          CHECK(reports[r].bytes_sent == (r == from ? (w - 1) * slot(ccomp::payload_bytes<T>(c, n)) : 0));
      }
}

}  // namespace

TEST_CASE("allgather: every shard as its owner's payload decodes, on every rank") {
  support::watchdog const guard("allgather");
  for (int const ranks : {1, 2, 3, 8}) check_allgather<float>(ranks);
  check_allgather<ccomp::float16>(3);
  check_allgather<ccomp::bfloat16>(4);
}
TEST_CASE("reduce_scatter: each rank its chunk of the sum; the input stays") {
  support::watchdog const guard("reduce_scatter");
  for (int const ranks : {1, 2, 3, 7}) check_reduce_scatter<float>(ranks);
  check_reduce_scatter<ccomp::float16>(2);
  check_reduce_scatter<ccomp::bfloat16>(4);
}
TEST_CASE("broadcast: the root's payload, decoded on every rank, the root included") {
  support::watchdog const guard("broadcast");
  for (int const ranks : {1, 2, 3, 8}) check_broadcast<float>(ranks);
  check_broadcast<ccomp::float16>(3);
  check_broadcast<ccomp::bfloat16>(4);
}
TEST_CASE("outputs of the wrong size and roots that are no rank are refused") {
  support::watchdog const guard("refused");
  thread_group group(2);
  ccomp::uniform_quantize<8> const c{};
  std::vector<int> refused(2);
  group.run([&](thread_communicator& comm) {
    workspace ws;
    std::vector<float> x(10), y(21), z(20);
    auto& count = refused[static_cast<std::size_t>(comm.rank())];
    auto refuses = [&](auto const& f, char const* what) {
      try {
        f();
      } catch (ccomp::invalid_argument const& e) {
        count += std::string(e.what()).find(what) != std::string::npos;
      }
    };
    refuses([&] { ccomp::allgather({1}, comm, c, x, y, ws); }, "21");
    refuses([&] { ccomp::reduce_scatter({1}, comm, c, y, x, ws); }, "21");
    refuses([&] { ccomp::broadcast({1}, comm, c, x, 2, ws); }, "root 2");
    refuses([&] { ccomp::broadcast({1}, comm, c, x, -1, ws); }, "root -1");
    ccomp::allgather({1}, comm, c, x, z, ws);
  });
  CHECK(refused == std::vector<int>{4, 4});
}
TEST_CASE("stochastic chunks of a reduce_scatter draw bits of their own") {
  // Two chunks of equal values: were the bits the same, the decoded chunks would be, too.
  thread_group group(2);
  auto const half = support::gaussian_values(3000, 5);
  std::vector<float> x = half;
  x.insert(x.end(), half.begin(), half.end());
  per_rank<float> out(2, std::vector<float>(3000));
  group.run([&](thread_communicator& comm) {
    workspace ws;
    ccomp::reduce_scatter({1}, comm, ccomp::uniform_quantize<2>{.round = ccomp::rounding::stochastic}, x,
                          out[static_cast<std::size_t>(comm.rank())], ws, {.at = 0});
  });
  CHECK_FALSE(support::same_bits(out[0], out[1]));
}
