// allgather and reduce_scatter with the stages of low_rank/, whose rows and shapes are those of a shard or a chunk.
#include <support/codec.hpp>
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>

#include <doctest/doctest.h>

#include <utility>

TEST_CASE("low rank: allgather and reduce_scatter of every stage") {
  support::watchdog const guard("low rank collectives");
  constexpr std::size_t ranks = 3;
  for (auto const& [text, n] : std::initializer_list<std::pair<char const*, std::size_t>>{
           {"power_sgd(2)", 777},
           {"svd(2)|uniform_quantize<8>", 777},
           {"hadamard_rotate|svd(rank=2, rows=64)", 1024},
           {"randomized_svd(4)", 1000},
           {"als(2)|cast<bfloat16>", 1000},
           {"tucker(shape=10x10x10, ranks=4x4x4)", 1000},
           {"tensor_train(shape=10x10x10, tolerance=0.3)", 1000}}) {
    std::string const name = text;
    CAPTURE(name);
    std::size_t const values = n;
    ccomp::any_compressor const c(name);
    auto const in = support::gradients(ranks, ranks * values);
    support::per_rank<float> full(ranks), chunk(ranks), pieces(ranks);
    ccomp::thread_group(ranks).run([&](ccomp::thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      ccomp::workspace<ccomp::host_exec> ws;
      full[r].resize(ranks * values);
      pieces[r].resize(ranks * values);
      chunk[r].resize(values);
      std::span<float const> const shard(in[r].data(), values);
      ccomp::error_feedback ef{c, values};
      ccomp::allgather({1}, comm, ef, shard, full[r], ws, {.at = 1});
      ccomp::allgather({1}, comm, c, shard, full[r], ws, {.at = 2});
      ccomp::all_to_all({1}, comm, c, in[r], pieces[r], ws, {.at = 2});
      ccomp::reduce_scatter({1}, comm, c, in[r], chunk[r], ws, {.op = ccomp::reduction::sum, .at = 2});
    });
    CHECK(support::all_same(full));
    for (std::uint32_t r = 0; r < ranks; ++r) {
      auto const at = static_cast<std::ptrdiff_t>(r * values);
      std::vector<float> const shard(in[r].data(), in[r].data() + values);
      std::vector<float> const part(full[0].begin() + at, full[0].begin() + at + static_cast<std::ptrdiff_t>(values));
      CHECK(support::same_bits(part, support::round_trip(c, shard, {.at = 2, .rank = r})));
      double off = 0, size = 0;
      for (std::size_t i = 0; i < values; ++i) {
        double sum = 0;
        for (std::size_t from = 0; from < ranks; ++from) sum += static_cast<double>(pieces[r][from * values + i]);
        off += std::pow(static_cast<double>(chunk[r][i]) - sum, 2);
        size += sum * sum;
      }
      CHECK(off <= 1e-12 * size);
    }
  }
}

TEST_CASE("low rank: a shape that is not the chunk's is refused on every rank, before anything is sent") {
  support::watchdog const guard("low rank refusals");
  ccomp::any_compressor const c("tucker(shape=10x10x10, ranks=4x4x4)");
  ccomp::thread_group(2).run([&](ccomp::thread_communicator& comm) {
    ccomp::workspace<ccomp::host_exec> ws;
    std::vector<float> x(1000), y(500);
    CHECK_THROWS_WITH_AS(ccomp::reduce_scatter({1}, comm, c, x, y, ws),
                         doctest::Contains("the tensor has 500 values, and shape=10x10x10 has 1000"),
                         ccomp::invalid_argument);
    std::vector<std::size_t> const counts{1000, 500};
    std::vector<float> full(1500), shard(counts[static_cast<std::size_t>(comm.rank())]);
    CHECK_THROWS_WITH_AS(ccomp::allgatherv({1}, comm, c, shard, full, counts, ws),
                         doctest::Contains("the tensor has 500 values"), ccomp::invalid_argument);
  });
}
