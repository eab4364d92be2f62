// PowerSGD with feedback on a square matrix, and what one writes without fused passes: M = x + r; P = M Q; the columns
// of P made orthonormal; Q = M^T P; out = P Q^T; r = M - out. Products by Eigen, with as many threads.
// And randomized_svd beside the products with M that it needs.
#if __has_include(<Eigen/Core>)
#include "suite/timed.hpp"

#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>

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

/// The products of randomized_svd with the default settings, by the passes that it uses and by Eigen.
struct needed_products {
  static constexpr std::size_t vectors = rank + 8, products = 2;  // of each kind

  needed_products(std::span<float const> x, std::size_t side, int threads)
      : m{ccomp::detail::view(x)},
        passes(ccomp::host_exec{.threads = threads}, {x.size(), side, side}, vectors),
        start(passes.q_size(), 0.01f),
        p(passes.p_size()),
        q(passes.q_size()),
        partial(passes.q_size() * passes.shape.bands()),
        eigen_m(x.data(), static_cast<Eigen::Index>(side), static_cast<Eigen::Index>(side)),
        eigen_start(Eigen::MatrixXf::Random(eigen_m.cols(), vectors)) {}

  void own() {
    for (std::size_t i = 0; i < products; ++i) {
      passes.project(m, start.data(), p.data());
      passes.back_project(m, p.data(), q.data(), partial.data());
    }
  }
  void eigen() {
    for (std::size_t i = 0; i < products; ++i) {
      eigen_p.noalias() = eigen_m * eigen_start;
      eigen_q.noalias() = eigen_m.transpose() * eigen_p;
    }
  }

  ccomp::detail::matrix_source m;
  ccomp::detail::low_rank_passes passes;
  std::vector<float> start, p, q, partial;
  Eigen::Map<matrix const> eigen_m;
  Eigen::MatrixXf eigen_start, eigen_q;
  matrix eigen_p;
};

int const registered_randomized_svd = [] {
  for (std::size_t const side : {std::size_t{1024}, std::size_t{4096}})
    for (int const threads : {1, 2})
      add("encode/randomized_svd(" + std::to_string(rank) + ")/gradient/" + std::to_string(side) + 'x' +
              std::to_string(side) + "/threads:" + std::to_string(threads),
          side * side, [=](benchmark::State& state) {
            auto const x = values(kind::gradient, side * side);
            ccomp::host_exec const ex{.threads = threads};
            ccomp::workspace ws{ex};
            ccomp::randomized_svd const c{.rank = rank, .rows = side};
            std::size_t const bytes = ccomp::payload_bytes(c, x.size());
            std::vector<std::byte> memory(bytes + 64);
            auto* const aligned = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
            auto const encode = [&] { ccomp::encode(ex, c, x, std::span(aligned, bytes), ws, {.at = 1}); };
            Eigen::setNbThreads(threads);
            needed_products products(x, side, threads);
            std::vector<double> whole, own, eigen;
            time_against_memory(state, x, threads, encode);
            products.eigen();
            for (int i = 0; i < 9; ++i) {
              whole.push_back(seconds_of(encode));
              own.push_back(seconds_of([&] { products.own(); }));
              eigen.push_back(seconds_of([&] { products.eigen(); }));
            }
            state.counters["of_products"] = compare::median(own) / compare::median(whole);
            state.counters["of_eigens_products"] = compare::median(eigen) / compare::median(whole);
          });
  return 0;
}();

}
}
#endif
