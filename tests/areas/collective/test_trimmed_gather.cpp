#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/codec.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/error_feedback.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace ccomp;

namespace {

struct trimmed_run {
  std::vector<std::vector<float>> out;  // of each rank, its tensors one after the other
  std::vector<collective_report> report;
};

/// One allreduce of tensors of these sizes on so many ranks. `silent`: the values are zeros on ranks from this one on.
trimmed_run run(std::string const& text, std::vector<std::size_t> const& sizes, int ranks, gather how, int silent,
                bool feedback = false) {
  auto const w = static_cast<std::size_t>(ranks);
  trimmed_run all{std::vector<std::vector<float>>(w), std::vector<collective_report>(w)};
  thread_group(ranks).run([&](thread_communicator& comm) {
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::workspace<host_exec> ws{host_exec{1}};
    std::vector<std::vector<float>> x;
    std::vector<tensor_view> views;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      x.push_back(comm.rank() < silent ? support::gaussian_values(sizes[i], 10 * r + i) : std::vector<float>(sizes[i]));
    for (std::size_t i = 0; i < sizes.size(); ++i) views.emplace_back(std::span(x[i]), i);
    any_compressor const c(text);
    error_feedback_set<any_compressor> set(c);
    for (std::uint64_t t = 0; t < 3; ++t)
      all.report[r] = feedback ? allreduce(host_exec{1}, comm, set, views, ws, {.at = t}, how)
                               : allreduce(host_exec{1}, comm, c, views, ws, {.at = t}, how);
    for (auto const& each : x) all.out[r].insert(all.out[r].end(), each.begin(), each.end());
  });
  return all;
}

}  // namespace

TEST_CASE("gather, trimmed: the bits of whole slots") {
  for (std::string const text :
       {"threshold(relative=2)", "block_threshold(0.9, block=16)", "approximate_top_k(0.1)|uniform_quantize<8>",
        "uniform_quantize<4>", "cast<bfloat16>", "threshold(capacity_ratio=0.5)|threshold(capacity_ratio=0.5)"})
    for (int const ranks : {1, 2, 3, 5})
      for (bool const feedback : {false, true}) {
        CAPTURE(text);
        CAPTURE(ranks);
        CAPTURE(feedback);
        std::vector<std::size_t> const sizes{3000, 1, 0, 517};
        auto const whole = run(text, sizes, ranks, gather{}, ranks - 1, feedback);
        auto const cut = run(text, sizes, ranks, gather{.trim = true}, ranks - 1, feedback);
        for (std::size_t r = 0; r < cut.out.size(); ++r) {
          CHECK(support::bits_of(cut.out[r]) == support::bits_of(whole.out[0]));
          CHECK(cut.report[r].payload_bytes == whole.report[r].payload_bytes);
          CHECK(cut.report[r].overflowed == whole.report[r].overflowed);
          CHECK(cut.report[r].bytes_sent == cut.report[0].bytes_sent);
        }
      }
}

TEST_CASE("gather, trimmed: tensors that are silent on all ranks send their side bytes, others the longest payload") {
  // 16 bytes: two counts and one bit. All 1000 values: 4000 more.
  std::string const text = "block_threshold(1e-6, whole_tensor=true)";
  std::size_t const others = 3 - 1, header = 32, told = 2 * 8;
  auto const quiet = run(text, {1000, 500}, 3, gather{.trim = true}, 0);
  auto const loud = run(text, {1000, 500}, 3, gather{.trim = true}, 1);
  auto const whole = run(text, {1000, 500}, 3, gather{}, 0);
  for (std::size_t r = 0; r < 3; ++r) {
    CHECK(quiet.report[r].bytes_sent == others * (header + told + 16 + 16));
    CHECK(loud.report[r].bytes_sent == others * (header + told + 16 + 4000 + 16 + 2000));
    CHECK(whole.report[r].bytes_sent == others * (header + 16 + 4000 + 16 + 2000));
    CHECK(quiet.report[r].payload_bytes == 32);
  }
}

namespace {

/// Says that payloads are longer than they can be.
struct boasting_communicator {
  thread_communicator& inner;
  std::uint64_t claim;

  [[nodiscard]] int rank() const { return inner.rank(); }
  [[nodiscard]] int size() const { return inner.size(); }
  void all_gather(host_exec const& ex, std::span<std::byte const> send, std::span<std::byte> receive) {
    inner.all_gather(ex, send, receive);
    if (send.size() == sizeof claim) std::memcpy(receive.data(), &claim, sizeof claim);
  }
};

}  // namespace

TEST_CASE("gather, trimmed: lengths that no payload has are refused, and the tensor stays") {
  thread_group(1).run([&](thread_communicator& alone) {
    ccomp::workspace<host_exec> ws{host_exec{1}};
    std::vector<float> x(100, 1.0f);
    std::size_t const room = payload_bytes<float>(threshold{}, 100);
    for (std::uint64_t const claim : {std::uint64_t{room} + 1, ~std::uint64_t{0}}) {
      boasting_communicator comm{alone, claim};
      CHECK_THROWS_WITH_AS(
          allreduce(host_exec{1}, comm, threshold{}, std::span(x), ws, {.at = 0}, gather{.trim = true}),
          doctest::Contains(("allreduce: rank 0 announces " + std::to_string(claim) + " bytes for tensor 0, at most " +
                             std::to_string(room) + " fit")
                                .c_str()),
          payload_error);
      CHECK(x == std::vector<float>(100, 1.0f));
    }
    boasting_communicator humble{alone, 0};  // less than this rank sends
    allreduce(host_exec{1}, humble, threshold{.capacity_ratio = 1}, std::span(x), ws, {.at = 0}, gather{.trim = true});
    CHECK(x == std::vector<float>(100, 1.0f));
  });
}

TEST_CASE("gather, trimmed: all ranks must ask for it") {
  thread_group group(2);
  std::vector<std::string> told(2);
  group.run([&](thread_communicator& comm) {
    ccomp::workspace<host_exec> ws{host_exec{1}};
    std::vector<float> x(100, 1.0f);
    try {
      allreduce(host_exec{1}, comm, threshold{}, std::span(x), ws, {.at = 0}, gather{.trim = comm.rank() == 0});
    } catch (rank_mismatch const& e) {
      told[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    CHECK(x == std::vector<float>(100, 1.0f));
  });
  for (auto const& each : told) CHECK(each.find("trimmed") != each.npos);
}
