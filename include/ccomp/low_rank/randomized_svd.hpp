#pragma once
/// Opt-in: needs Eigen (link ccomp::eigen); not part of ccomp.hpp.

#include <ccomp/low_rank/double_factors.hpp>
#include <ccomp/low_rank/orthonormal.hpp>
#include <ccomp/low_rank/random_start.hpp>
#include <ccomp/text/stage_entry.hpp>

CCOMP_BEGIN

/// Treats the tensor as a matrix and sends nearly the best matrix of the given rank, as two thin factors: the singular
/// value decomposition of what a few random vectors see of it.
///
/// rank + oversampling random vectors are multiplied by M and made orthonormal; `power_iterations` times more by M^T and
/// M, made orthonormal after each product. Of the matrix's part in their space, the leading `rank` directions are sent.
///
/// Shapes:      in [n] -> matrix M [rows][cols], row by row; the missing values of the last row are zeros.
///              rows = 0: cols = ceil(sqrt n) rounded up to 16; else cols = ceil(n / rows). The matrix then has
///              ceil(n / cols) rows, which may be fewer than asked for: n = 31, rows = 20 is 16 x 2
///              Carrier: P [rows][rank], then Q [rank][cols] = P^T M; multiplied by opposite powers of two that make
///              their largest values alike. With rows = 0, if rank (rows + cols) >= n: the values themselves.
///              rank + oversampling is cut to min(rows, cols)
/// Payload:     pad16(4 rank (rows + cols)) bytes, or pad16(4 n): float for every element type; the carrier may be coded
///              further
/// Signs:       the entry of largest magnitude of each column of P is positive; of equal magnitudes the first
/// Rounding:    products with M in float, with sums in an order that depends on the shape only; the rest in double
/// Guarantee:   the error is never larger than M but for rounding to float, and zero if rank(M) <= rank. For Gaussian
///              vectors, no power iteration, rank >= 2 and oversampling >= 2, the expected squared error is at most
///              2 + rank / (oversampling - 1) times the best: once from what the vectors' space leaves out (Halko et al.,
///              Theorem 10.5), once from what is dropped in it. The vectors here are uniform, not Gaussian. Each power
///              iteration brings it closer to the best
/// Strategies:  codes the tensor as a whole, because chunks of it are other matrices: `automatic` takes gather, and
///              two_shot refuses it
/// Linear:      no
/// Determinism: on the host the same bits for any thread count and instruction set of one build. Different builds agree
///              within a tolerance, because Eigen makes columns orthonormal. Any build decodes the payload of another
/// NaN, Inf:    make the whole tensor NaN. So does a factor of 2^112 or more, because the product could overflow, and a
///              product with M that is not finite. In tensors sent as they are, only the value itself is lost
/// Throws:      invalid_argument: rank is 0, above 1024, or with given rows above min(rows, cols); power_iterations is
///              above 64, or oversampling above 1024
/// Device:      close to the host's numbers, by cuSOLVER and cuBLAS in float. Each engine decodes the payload of the other
///              to the same values. A stream that records a graph is refused
/// Source:      Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011
struct randomized_svd {
  static constexpr std::string_view name = "randomized_svd";
  static constexpr bool stochastic = true;
  static constexpr bool carries_floats = true;  // factors may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  std::uint32_t rank = 4;
  std::uint64_t rows = 0;
  std::uint32_t power_iterations = 1, oversampling = 8;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"rank", &randomized_svd::rank}, field{"rows", &randomized_svd::rows},
                      field{"power_iterations", &randomized_svd::power_iterations},
                      field{"oversampling", &randomized_svd::oversampling}, field{"seed", &randomized_svd::seed}};
  }
  void validate() const {
    detail::factor_layout::expect_rank_setting(name, rank);
    detail::expects(power_iterations <= 64, [&] {
      return detail::sentence("randomized_svd: power_iterations must lie in 0..64, got ", power_iterations);
    });
    detail::expects(oversampling <= 1024, [&] {
      return detail::sentence("randomized_svd: oversampling must lie in 0..1024, got ", oversampling);
    });
  }

  [[nodiscard]] std::size_t side_bytes(std::size_t n) const {
    layout().expect_rank(name, n);
    return 0;
  }
  [[nodiscard]] std::size_t carrier_size(std::size_t n) const {
    layout().expect_rank(name, n);
    return layout().carrier_size(n);
  }
  [[nodiscard]] std::size_t scratch_bytes(std::size_t n) const {
    if (layout().is_dense(n)) return 0;
    auto const m = layout().shape_of(n);
    std::size_t const k = drawn(m);
    return detail::scratch::bytes_for<float>(m.rows * k) + 2 * detail::scratch::bytes_for<float>(m.cols * k) +
           detail::scratch::bytes_for<float>(m.cols * k * m.bands()) + detail::scratch::bytes_for<double>(m.cols * k) +
           detail::scratch::bytes_for<double>(rank * k) + detail::double_factors::scratch_bytes(rank, m) +
           detail::leading_vectors::scratch_bytes(k, m.cols);
  }
  /// Nothing is promised of a matrix without structure but that the error does not grow.
  [[nodiscard]] double contraction(std::size_t n) const { return layout().is_dense(n) ? 1 : 0; }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const& at) const {
    std::size_t const n = in.size();
    layout().expect_rank(name, n);
    if (layout().copy_dense(n, in.data(), carrier.data())) return n;
    auto const shape = layout().shape_of(n);
    detail::scratch memory(scratch);
    if (!find(ex, detail::view(in), shape, carrier.data(), memory, at))
      std::fill(carrier.begin(), carrier.end(), detail::canonical_nan());
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    layout().decode(ex, carrier, out);
  }

  [[nodiscard]] detail::factor_layout layout() const { return {rank, rows, /*keeps_shape=*/true}; }
  /// The random vectors.
  [[nodiscard]] std::size_t drawn(detail::matrix_shape const& m) const {
    return std::min(std::min(m.rows, m.cols), std::size_t{rank} + oversampling);
  }

 private:
  /// False: something is not finite.
  bool find(host_exec const& ex, detail::const_values const& in, detail::matrix_shape const& shape, float* carrier,
            detail::scratch memory, pass_options const& at) const {
    std::size_t const k = drawn(shape);
    detail::low_rank_passes const passes{ex, shape, k};
    instruction_set const isa = passes.isa;
    detail::matrix_source const m{in};
    auto* const p = memory.take<float>(passes.p_size());
    auto* const q = memory.take<float>(passes.q_size());
    auto* const columns = memory.take<float>(passes.q_size());
    auto* const partial = memory.take<float>(passes.q_size() * shape.bands());
    auto* const lines = memory.take<double>(passes.q_size());
    auto* const turn = memory.take<double>(rank * k);
    detail::double_factors const found(rank, shape, memory);

    detail::random_start{isa, seed, at, shape.cols}.draw_all(k, q);
    for (std::uint32_t iteration = 0;; ++iteration) {
      passes.project(m, q, p);
      if (!detail::all_below(isa, p, passes.p_size(), detail::inf_bits)) return false;
      detail::orthonormalise(p, shape.rows, k);
      passes.back_project(m, p, q, partial);
      if (!detail::all_below(isa, q, passes.q_size(), detail::factor_limit_bits)) return false;
      if (iteration == power_iterations) break;
      transpose(q, k, shape.cols, columns);
      detail::orthonormalise(columns, shape.cols, k);
      transpose(columns, shape.cols, k, q);
    }
    // M seen in the space of P is B = q; of its own singular vectors, the leading ones are kept.
    detail::leading_vectors const left{ex, isa, {lines, k, shape.cols}};
    left.matrix.fill(q, passes.q_size());
    left.find(rank, turn, memory);
    left.coordinates(turn, rank, found.b);
    detail::run_narrow(isa, [&] {
      for (std::size_t r = 0; r < rank; ++r)
        for (std::size_t i = 0; i < shape.rows; ++i) {
          double sum = 0;
          for (std::size_t c = 0; c < k; ++c)
            sum = detail::add(sum, detail::mul(turn[r * k + c], static_cast<double>(p[i * k + c])));
          found.u[r * shape.rows + i] = sum;
        }
    });
    if (!(found.largest_b() < detail::factor_limit)) return false;
    found.write(carrier);
    layout().balance_factors(isa, shape, carrier);
    return true;
  }
  /// y [cols][rows] of x [rows][cols].
  static void transpose(float const* x, std::size_t rows, std::size_t cols, float* y) {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) y[j * rows + i] = x[i * cols + j];
  }
};

namespace detail {
inline bool const randomized_svd_joins = join_text([] { return entry_of<randomized_svd>(); });
}

CCOMP_END
