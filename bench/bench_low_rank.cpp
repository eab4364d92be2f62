// PowerSGD with feedback on a square matrix, and what one writes without fused passes: M = x + r; P = M Q; the columns
// of P made orthonormal; Q = M^T P; out = P Q^T; r = M - out. Products by Eigen, with as many threads.
#if __has_include(<Eigen/Core>)
#include "suite/timed.hpp"

#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>

#include <Eigen/Core>

#include <algorithm>

namespace suite {
namespace {

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr std::uint32_t rank = 4;

struct separate_products {
  explicit separate_products(std::size_t side)
      : m(side, side),
        residual(matrix::Zero(m.rows(), m.cols())),
        out(m.rows(), m.cols()),
        q(Eigen::MatrixXf::Random(m.cols(), rank)) {}

  void step(Eigen::Map<matrix const> const& x) {
    m = x + residual;
    p.noalias() = m * q;
    ccomp::detail::orthonormalise(p.data(), static_cast<std::size_t>(p.rows()), rank);
    q.noalias() = m.transpose() * p;
    out.noalias() = p * q.transpose();
    residual = m - out;
  }

  matrix m, residual, out;
  Eigen::Matrix<float, Eigen::Dynamic, rank, Eigen::RowMajor> p;
  Eigen::MatrixXf q;
};

int const registered_low_rank = [] {
  for (std::size_t const side : {std::size_t{1024}, std::size_t{4096}})
    for (int const threads : {1, 2})
      add("feedback/power_sgd(" + std::to_string(rank) + ")/gradient/" + std::to_string(side) + 'x' +
              std::to_string(side) + "/threads:" + std::to_string(threads),
          side * side, [=](benchmark::State& state) {
            auto const x = values(kind::gradient, side * side);
            ccomp::host_exec const ex{.threads = threads};
            ccomp::workspace ws{ex};
            ccomp::self_communicator self;
            ccomp::error_feedback feedback{ccomp::power_sgd{.rank = rank, .rows = side}, x.size(), ex};
            std::vector<float> mean(x.size());
            std::uint64_t step = 0;
            std::vector<double> ours, theirs;
            Eigen::setNbThreads(threads);
            separate_products products(side);
            auto const fused = [&] { ccomp::allreduce(ex, self, feedback, mean, ws, {.at = ++step}); };
            auto const eigen = [&] {
              products.step({x.data(), static_cast<Eigen::Index>(side), static_cast<Eigen::Index>(side)});
            };
            auto const fill = [&] { std::ranges::copy(x, mean.begin()); };
            time_against_memory(state, x, threads, fused, fill);
            eigen();
            for (int i = 0; i < 9; ++i) {
              fill();
              ours.push_back(seconds_of(fused));
              theirs.push_back(seconds_of(eigen));
            }
            state.counters["against_eigen"] = compare::median(theirs) / compare::median(ours);
            state.counters["ratio"] = static_cast<double>(side) / (2 * rank);
          });
  return 0;
}();

}
}
#endif
