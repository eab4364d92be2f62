#pragma once
/// Opt-in: not part of ccomp.hpp.

#include <ccomp/low_rank/double_factors.hpp>
#include <ccomp/low_rank/random_start.hpp>
#include <ccomp/text/stage_entry.hpp>

CCOMP_BEGIN

/// Treats the tensor as a matrix and sends two thin factors of it, found by alternating least squares with a penalty on
/// large factors.
///
/// From a random R, `iterations` times: L = M R^T (R R^T + l I)^-1, then R = (L^T L + l I)^-1 L^T M. Each step finds the
/// least |M - L R|^2 + l (|L|^2 + |R|^2) for the other factor as it is.
///
/// Shapes:      in [n] -> matrix M [rows][cols], row by row; the missing values of the last row are zeros.
///              rows = 0: cols = ceil(sqrt n) rounded up to 16; else cols = ceil(n / rows). The matrix then has
///              ceil(n / cols) rows, which may be fewer than asked for: n = 31, rows = 20 is 16 x 2
///              Carrier: L [rows][rank], then R [rank][cols]. With rows = 0, if rank (rows + cols) >= n: the values
///              themselves
/// Payload:     pad16(4 rank (rows + cols)) bytes, or pad16(4 n): float for every element type; the carrier may be coded
///              further
/// Penalty:     l = regularization times the root mean square of the singular values, |M| / sqrt(min(rows, cols))
/// Signs:       the entry of largest magnitude of each column of L is positive; of equal magnitudes the first
/// Rounding:    in double, by Cholesky's decomposition of the normal equations; L and R are rounded to float once
/// Guarantee:   the penalised error never rises from one iteration to the next. Its least value has the squared error
///              rank l^2 + the sum of the squares of the dropped singular values, while those that are kept are above l:
///              each of them is sent as s - l. The squared error plus l |R|^2 is at most |M|^2, which R = 0 would leave:
///              the error is never larger than M but for rounding to float
/// Strategies:  codes the tensor as a whole, because chunks of it are other matrices: `automatic` takes gather, and
///              two_shot refuses it
/// Linear:      no
/// Determinism: the same bits for any build, thread count and instruction set
/// NaN, Inf:    make the whole tensor NaN. So do factors with rank max|L| max|R| >= 2^122, because the product could
///              overflow. In tensors sent as they are, only the value itself is lost
/// Throws:      invalid_argument: rank is 0, above 1024, or with given rows above min(rows, cols); iterations is 0 or above
///              1000; regularization lies outside of 1e-9..1
/// Device:      none: it runs on the host only
/// Source:      Hastie, Mazumder, Lee, Zadeh, "Matrix completion and low-rank SVD via fast alternating least squares",
///              Journal of Machine Learning Research 16, 2015
struct als {
  static constexpr std::string_view name = "als";
  static constexpr bool stochastic = true;
  static constexpr bool carries_floats = true;  // factors may lie beyond the range of a 16-bit tensor
  static constexpr bool whole = true;

  std::uint32_t rank = 4;
  std::uint64_t rows = 0;
  std::uint32_t iterations = 10;
  float regularization = 1e-3f;
  std::uint64_t seed = 0;

  static constexpr auto fields() {
    return std::tuple{field{"rank", &als::rank}, field{"rows", &als::rows}, field{"iterations", &als::iterations},
                      field{"regularization", &als::regularization}, field{"seed", &als::seed}};
  }
  void validate() const {
    detail::factor_layout::expect_rank_setting(name, rank);
    detail::expects(iterations >= 1 && iterations <= 1000,
                    [&] { return detail::sentence("als: iterations must lie in 1..1000, got ", iterations); });
    detail::expects(regularization >= 1e-9f && regularization <= 1, [&] {
      return detail::sentence("als: regularization must lie in 1e-9..1, got ", detail::print_value(regularization));
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
    return detail::scratch::bytes_for<double>(m.rows * m.cols) + detail::double_factors::scratch_bytes(rank, m) +
           detail::scratch::bytes_for<double>(std::size_t{rank} * rank) + detail::scratch::bytes_for<float>(m.cols);
  }
  /// See the guarantee: nothing is promised but that the error does not grow.
  [[nodiscard]] double contraction(std::size_t n) const { return layout().is_dense(n) ? 1 : 0; }

  std::size_t encode(host_exec const& ex, std::span<float const> in, std::span<std::byte>, std::span<float> carrier,
                     std::span<std::byte> scratch, pass_options const& at) const {
    std::size_t const n = in.size();
    layout().expect_rank(name, n);
    if (layout().copy_dense(n, in.data(), carrier.data())) return n;
    instruction_set const isa = detail::resolve_isa(ex);
    bool const good = detail::all_below(isa, in.data(), n, detail::inf_bits) &&
                      find(ex, isa, in, carrier.data(), detail::scratch(scratch), at);
    if (!good) std::fill(carrier.begin(), carrier.end(), detail::canonical_nan());
    return carrier.size();
  }
  void decode(host_exec const& ex, std::span<std::byte const>, std::span<float const> carrier, std::span<float> out,
              std::span<std::byte>, pass_options const&) const {
    layout().decode(ex, carrier, out);
  }

 private:
  [[nodiscard]] detail::factor_layout layout() const { return {rank, rows, /*keeps_shape=*/true}; }

  /// False: the factors are too large.
  bool find(host_exec const& ex, instruction_set isa, std::span<float const> in, float* carrier, detail::scratch memory,
            pass_options const& at) const {
    auto const shape = layout().shape_of(in.size());
    detail::slim_matrix const m{memory.take<double>(shape.rows * shape.cols), shape.rows, shape.cols};
    detail::double_factors const found(rank, shape, memory);
    double *const left = found.u, *const right = found.b;  // the columns of L, one after another; the rows of R
    auto* const normal = memory.take<double>(std::size_t{rank} * rank);
    auto* const drawn = memory.take<float>(shape.cols);
    m.fill(in.data(), in.size());
    double squares = 0;
    detail::run_narrow(isa, [&] { squares = detail::inner_product(m.data, m.data, shape.rows * shape.cols); });
    double const mean = detail::sqrt(squares / static_cast<double>(m.shorter()));  // of the singular values
    if (mean == 0) {
      std::fill(carrier, carrier + layout().factors(shape), 0.0f);
      return true;
    }
    double const penalty = static_cast<double>(regularization) * mean;
    // Factors as large as each other, whatever the size of M.
    detail::random_start const start{isa, seed, at, shape.cols};
    double const size = detail::sqrt(mean);
    for (std::size_t k = 0; k < rank; ++k) {
      start.draw(k, drawn);
      for (std::size_t j = 0; j < shape.cols; ++j) right[k * shape.cols + j] = size * static_cast<double>(drawn[j]);
    }
    for (std::uint32_t i = 0; i < iterations; ++i) {
      m.onto_rows(ex, isa, right, rank, left);
      detail::run_narrow(isa, [&] {
        decompose(right, shape.cols, penalty, normal);
        solve(normal, left, shape.rows);
      });
      m.onto_cols(ex, isa, left, rank, right);
      detail::run_narrow(isa, [&] {
        decompose(left, shape.rows, penalty, normal);
        solve(normal, right, shape.cols);
      });
    }
    if (!(found.largest_u() * found.largest_b() * rank < 0x1p122)) return false;
    found.write(carrier);
    return true;
  }
  /// Cholesky's factor, the lower triangle, of x x^T + penalty I for x [rank][length].
  [[gnu::always_inline]] void decompose(double const* x, std::size_t length, double penalty, double* factor) const {
    CCOMP_NO_CONTRACTION
    for (std::size_t i = 0; i < rank; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = detail::inner_product(x + i * length, x + j * length, length) + (i == j ? penalty : 0.0);
        double const *const a = factor + i * rank, *const b = factor + j * rank;
        for (std::size_t k = 0; k < j; ++k) sum = sum - a[k] * b[k];
        factor[i * rank + j] = i == j ? detail::sqrt(sum) : sum / b[j];
      }
  }
  /// y [rank][length] becomes the solution of C C^T x = y.
  [[gnu::always_inline]] void solve(double const* factor, double* y, std::size_t length) const {
    auto const divide = [&](std::size_t k) {
      for (std::size_t i = 0; i < length; ++i) y[k * length + i] /= factor[k * rank + k];
    };
    for (std::size_t k = 0; k < rank; ++k) {
      for (std::size_t j = 0; j < k; ++j)
        detail::add_multiple(y + k * length, -factor[k * rank + j], y + j * length, length);
      divide(k);
    }
    for (std::size_t k = rank; k-- > 0;) {
      for (std::size_t j = k + 1; j < rank; ++j)
        detail::add_multiple(y + k * length, -factor[j * rank + k], y + j * length, length);
      divide(k);
    }
  }
};

namespace detail {
inline bool const als_joins = join_text([] { return entry_of<als>(); });
}

CCOMP_END
