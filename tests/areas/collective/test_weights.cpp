// A weight per rank, against sums in float64.
#include <support/ranks.hpp>
#include <support/text_checks.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.hpp>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using ccomp::host_exec;
using ccomp::reduction;
using ccomp::thread_communicator;
using ccomp::thread_group;

namespace weights {
namespace {

using tensors = std::vector<std::vector<float>>;
float weight_of(int rank) { return rank == 1 ? 0.0f : 0.5f + 3.0f * static_cast<float>(rank); }

/// The weighted sum or mean in float64, and the largest value that one rank contributes.
struct exact {
  std::vector<double> values;
  double largest = 0;
};
exact of(tensors const& in, reduction op) {
  exact e{std::vector<double>(in[0].size())};
  double all = 0;
  for (std::size_t r = 0; r < in.size(); ++r) all += static_cast<double>(weight_of(static_cast<int>(r)));
  for (std::size_t r = 0; r < in.size(); ++r)
    for (std::size_t i = 0; i < e.values.size(); ++i) {
      double const w = static_cast<double>(weight_of(static_cast<int>(r))) / (op == reduction::mean ? all : 1);
      e.values[i] += w * static_cast<double>(in[r][i]);
      e.largest = std::max(e.largest, std::fabs(w * static_cast<double>(in[r][i])));
    }
  return e;
}

TEST_CASE("weights: allreduce, reduce_scatter and reduce_to give the weighted sum or mean") {
  for (int const ranks : {1, 3, 5})
    for (auto const op : {reduction::sum, reduction::mean})
      for (auto const* const text : {"cast<bfloat16>", "uniform_quantize<8>", "shared_scale_quantize<8>", "top_k(1.0)",
                                     "power_sgd(20, rows=20)"}) {
        CAPTURE(ranks);
        CAPTURE(text);
        std::size_t const w = static_cast<std::size_t>(ranks), n = 400 * w;
        auto in = support::gradients(ranks, n);
        auto const want = of(in, op);
        // Codes of 8 bits, and of the sum in a chunk's owner; all else is finer.
        double const near = 2 * (want.largest * static_cast<double>(ranks)) / 127 + 1e-6;
        ccomp::any_compressor const c(text);
        auto got = in;
        tensors part(w, std::vector<float>(n / w));
        bool const whole = std::string_view(text).starts_with("power");
        std::vector<float> at_root(n);
        thread_group(ranks).run([&](thread_communicator& comm) {
          ccomp::workspace<host_exec> ws;
          auto const r = static_cast<std::size_t>(comm.rank());
          ccomp::allreduce(host_exec{1}, comm, c, got[r], ws, {.op = op, .at = 1, .weight = weight_of(comm.rank())});
          auto const before = in[r];
          if (!whole)
            ccomp::reduce_scatter(host_exec{1}, comm, c, in[r], part[r], ws,
                                  {.op = op, .at = 2, .weight = weight_of(comm.rank())});
          std::vector<float> elsewhere;
          if (!whole)
            ccomp::reduce_to(host_exec{1}, comm, c, in[r], r == 0 ? at_root : elsewhere, 0, ws,
                             {.op = op, .at = 3, .weight = weight_of(comm.rank())});
          CHECK(in[r] == before);
        });
        double most = 0, most_of_part = 0;
        for (std::size_t i = 0; i < n; ++i) {
          most = std::max(most, std::fabs(static_cast<double>(got[0][i]) - want.values[i]));
          if (!whole)
            most_of_part =
                std::max({most_of_part, std::fabs(static_cast<double>(part[i / 400][i % 400]) - want.values[i]),
                          std::fabs(static_cast<double>(at_root[i]) - want.values[i])});
        }
        CHECK(most <= near);
        CHECK(most_of_part <= near);
        for (std::size_t r = 1; r < w; ++r) CHECK(support::same_bits(got[r], got[0]));
      }
}

TEST_CASE("weights: equal ones give the mean without, error feedback keeps what the weighted values left out") {
  auto const in = support::gradients(2, 1000);
  auto const reduced = [&](std::optional<float> weight) {
    auto x = in;
    thread_group(2).run([&](thread_communicator& comm) {
      ccomp::workspace<host_exec> ws;
      ccomp::allreduce(host_exec{1}, comm, ccomp::uniform_quantize<8>{}, x[static_cast<std::size_t>(comm.rank())], ws,
                       {.weight = weight});
    });
    return x[0];
  };
  CHECK(support::same_bits(reduced({}), reduced(1.0f)));
  CHECK(support::same_bits(reduced({}), reduced(4.0f)));

  std::vector<double> sent(1000), given(1000);
  std::vector<std::vector<float>> left(2);
  thread_group(2).run([&](thread_communicator& comm) {
    ccomp::workspace<host_exec> ws;
    auto const r = static_cast<std::size_t>(comm.rank());
    ccomp::error_feedback f{ccomp::top_k{.ratio = 0.05}, 1000};
    for (int step = 0; step < 5; ++step) {
      auto x = in[r];
      ccomp::allreduce(host_exec{1}, comm, f, x, ws, {.op = reduction::sum, .weight = weight_of(2 * comm.rank())},
                       ccomp::gather{});
      if (r == 0)
        for (std::size_t i = 0; i < x.size(); ++i) sent[i] += static_cast<double>(x[i]);
    }
    left[r] = f.residual_copy();
  });
  double most = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    for (std::size_t r = 0; r < 2; ++r)
      given[i] += 5.0 * static_cast<double>(weight_of(static_cast<int>(2 * r))) * static_cast<double>(in[r][i]) -
                  static_cast<double>(left[r][i]);
    most = std::max(most, std::fabs(sent[i] - given[i]) / (1 + std::fabs(given[i])));
  }
  CHECK(most < 1e-5);
}

TEST_CASE("weights: what makes no sense is one sentence, and no value changes") {
  auto const told = [](std::vector<std::optional<float>> const& weights) {
    std::string said;
    thread_group(2).run([&](thread_communicator& comm) {
      ccomp::workspace<host_exec> ws;
      std::vector<float> x(100, 2.0f);
      try {
        ccomp::allreduce(host_exec{1}, comm, ccomp::uniform_quantize<8>{}, x, ws,
                         {.weight = weights[static_cast<std::size_t>(comm.rank())]});
      } catch (ccomp::error const& e) {
        if (comm.rank() == 1) said = e.what();
      }
      CHECK(x == std::vector<float>(100, 2.0f));
    });
    return said;
  };
  CHECK(support::has(told({-1.0f, -1.0f}), "a weight is a finite number of at least 0"));
  CHECK(support::has(told({0.0f, 0.0f}), "the weights of all ranks add up to 0"));
  CHECK(support::has(told({1.0f, {}}), "weighted"));
}

}  // namespace
}  // namespace weights
