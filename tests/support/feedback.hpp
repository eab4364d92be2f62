#pragma once
/// Several steps of an allreduce with error feedback, and what must be conserved over them.

#include <support/ranks.hpp>

#include <ccomp/error_feedback.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <functional>

namespace support {

/// Which strategy and step number the t-th call of a run uses.
struct schedule {
  std::string name;
  std::function<how(int)> strategy;
  std::function<std::uint64_t(int)> step = [](int t) { return static_cast<std::uint64_t>(t); };
};

/// One run: `gradient(rank, t)` is what a rank brings in call t; `after(t, inputs, outputs, residuals)` sees what came
/// of it. Wrappers live as long as the run.
struct feedback_run {
  int ranks = 3;
  erased c;
  ccomp::feedback_options options{};
  schedule calls;
  ccomp::reduction op = ccomp::reduction::mean;
  ccomp::host_exec ex{1};

  template <class Gradient, class After> void operator()(int steps, Gradient const& gradient, After const& after) {
    ccomp::thread_group group(ranks);
    auto const w = static_cast<std::size_t>(ranks);
    std::size_t const n = gradient(0, 0).size();
    std::vector<ccomp::error_feedback<erased>> wrappers;
    for (std::size_t r = 0; r < w; ++r) wrappers.emplace_back(c, n, ex, options);
    per_rank<float> in(w), out(w), rest(w);
    group.run([&](ccomp::thread_communicator& comm) {
      auto const r = static_cast<std::size_t>(comm.rank());
      ccomp::workspace<ccomp::host_exec> ws{ex};
      for (int t = 0; t < steps; ++t) {
        in[r] = gradient(comm.rank(), t);
        out[r] = in[r];
        allreduce_by(calls.strategy(t), ex, comm, wrappers[r], out[r], ws, {.op = op, .at = calls.step(t)});
        rest[r] = wrappers[r].residual_copy();
        std::byte const token{};
        std::vector<std::byte> tokens(w);
        comm.all_gather(ex, {&token, 1}, tokens);
        if (r == 0) after(t, in, out, rest);
        comm.all_gather(ex, {&token, 1}, tokens);
      }
    });
  }
};

/// Errors |mean of the first T outputs - gradient| / |gradient| for each T of `at`, the gradient constant.
inline std::vector<double> running_errors(feedback_run run, std::size_t n, std::vector<int> const& at,
                                          std::uint64_t seed = 1) {
  auto const g = gradients(run.ranks, n, seed);
  auto want = exact_sum(g);
  double const divisor = run.op == ccomp::reduction::mean ? run.ranks : 1;
  std::vector<double> sum(n), errors;
  run(
      at.back(), [&](int r, int) { return g[static_cast<std::size_t>(r)]; },
      [&](int t, per_rank<float> const&, per_rank<float> const& out, per_rank<float> const&) {
        for (std::size_t i = 0; i < n; ++i) sum[i] += double(out[0][i]);
        if (std::ranges::find(at, t + 1) == at.end()) return;
        std::vector<double> off(n), size(n);
        for (std::size_t i = 0; i < n; ++i) {
          size[i] = want[i] / divisor;
          off[i] = sum[i] / (t + 1) - size[i];
        }
        errors.push_back(norm(off) / norm(size));
      });
  return errors;
}

}  // namespace support
