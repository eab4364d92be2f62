// reduce_scatter and allgather with every stage of stage_list.hpp; tests/areas/low_rank has those of low_rank/.
#include <support/codec.hpp>
#include <support/compressor_texts.hpp>
#include <support/named_compressor.hpp>
#include <support/ranks.hpp>

#include <ccomp/collectives.hpp>
#include <ccomp/error_feedback.hpp>

#include <doctest/doctest.h>

TEST_CASE("every stage: allgather and reduce_scatter take it, and error feedback where it is a contraction") {
  support::watchdog const guard("every stage");
  constexpr std::size_t ranks = 3;
  std::size_t refused = 0, texts = 0;
  for (auto const& text : support::compressor_texts())
    for (std::size_t const n : {0u, 1u, 777u}) {
      CAPTURE(text);
      CAPTURE(n);
      ++texts;
      support::named_compressor const c(text);
      auto const in = support::gradients(ranks, ranks * n);
      support::per_rank<float> full(ranks), chunks(ranks), pieces(ranks);
      std::vector<int> refusals(ranks);
      ccomp::thread_group(ranks).run([&](ccomp::thread_communicator& comm) {
        auto const r = static_cast<std::size_t>(comm.rank());
        ccomp::workspace<ccomp::host_exec> ws;
        std::vector<float> const shard(in[r].begin(), in[r].begin() + static_cast<std::ptrdiff_t>(n));
        full[r].resize(ranks * n);
        pieces[r].resize(ranks * n);
        chunks[r].resize(n);
        ccomp::allgather({1}, comm, c, shard, full[r], ws, {.at = 2});
        ccomp::all_to_all({1}, comm, c, in[r], pieces[r], ws, {.at = 2});
        ccomp::reduce_scatter({1}, comm, c, in[r], chunks[r], ws, {.op = ccomp::reduction::sum, .at = 2});
        auto const with_feedback = [&](std::size_t size, auto const& call) {
          try {
            ccomp::error_feedback ef{c, size};
            call(ef);
          } catch (ccomp::invalid_argument const& e) {  // before anything is sent
            if (std::string(e.what()).find("is not a contraction") == std::string::npos) throw;
            ++refusals[r];
          }
        };
        std::vector<float> other(ranks * n);
        with_feedback(n, [&](auto& ef) { ccomp::allgather({1}, comm, ef, shard, other, ws, {.at = 2}); });
        with_feedback(ranks * n, [&](auto& ef) {
          ccomp::reduce_scatter({1}, comm, ef, in[r], std::span(other.data(), n), ws, {.at = 2});
        });
      });
      CHECK(support::all_same(full));
      refused += refusals[0] > 0;
      for (std::uint32_t r = 0; r < ranks; ++r) {
        std::vector<float> const shard(in[r].begin(), in[r].begin() + static_cast<std::ptrdiff_t>(n));
        auto const at = static_cast<std::ptrdiff_t>(r * n);
        std::vector<float> const part(full[0].begin() + at, full[0].begin() + at + static_cast<std::ptrdiff_t>(n));
        CHECK(support::same_bits(part, support::round_trip(c, shard, {.at = 2, .rank = r})));
        std::vector<double> sum(n), size(n);
        for (std::size_t i = 0; i < ranks * n; ++i) {
          sum[i % n] += static_cast<double>(pieces[r][i]);
          size[i % n] += std::abs(static_cast<double>(pieces[r][i]));
        }
        // Behind a transform, sums are made before it is undone: then each has parts of its whole block.
        bool const transforms = ccomp::text(c).find("hadamard") != std::string::npos;
        double const whole = n > 0 ? *std::ranges::max_element(size) : 0;
        bool near = true;
        for (std::size_t i = 0; i < n; ++i) {
          double const off = std::abs(static_cast<double>(chunks[r][i]) - sum[i]);
          near = near && off <= 3 * 0x1p-23 * (transforms ? 8 * whole : size[i]);
        }
        CHECK(near);
      }
    }
  CHECK(refused < texts / 4);
}
