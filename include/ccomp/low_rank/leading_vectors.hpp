#pragma once
/// The leading singular vectors on the left of a matrix, in double, from the eigenvectors of its Gram matrix. Squares lose
/// half of the digits: singular values below about 1e-8 of the largest one are not told from zero, and float32 holds
/// nothing so small beside it. Every sum has an order that depends on the shape alone.

#include <ccomp/core/layout.hpp>
#include <ccomp/core/scratch.hpp>
#include <ccomp/engine/host/parallel.hpp>
#include <ccomp/low_rank/symmetric_eigen.hpp>

#include <cmath>

CCOMP_BEGIN
namespace detail {

/// A matrix A [rows][cols] that is stored with its shorter side innermost: [rows][cols], or turned, [cols][rows].
struct slim_matrix {
  double* data;
  std::size_t rows, cols;

  [[nodiscard]] bool turned() const { return rows <= cols; }
  [[nodiscard]] std::size_t shorter() const { return std::min(rows, cols); }
  [[nodiscard]] std::size_t longer() const { return std::max(rows, cols); }
  [[nodiscard]] double* line(std::size_t l) const { return data + l * shorter(); }
  [[nodiscard]] double& at(std::size_t i, std::size_t j) const {
    return turned() ? data[j * rows + i] : data[i * cols + j];
  }
  /// n values, row by row; zeros follow.
  void fill(float const* x, std::size_t n) const {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) at(i, j) = i * cols + j < n ? static_cast<double>(x[i * cols + j]) : 0.0;
  }
  /// out [count][rows] = v [count][cols] A^T.
  void onto_rows(host_exec const& ex, instruction_set isa, double const* v, std::size_t count, double* out) const {
    turned() ? across_lines(ex, isa, v, count, out) : along_lines(ex, isa, v, count, out);
  }
  /// out [count][cols] = u [count][rows] A.
  void onto_cols(host_exec const& ex, instruction_set isa, double const* u, std::size_t count, double* out) const {
    turned() ? along_lines(ex, isa, u, count, out) : across_lines(ex, isa, u, count, out);
  }

 private:
  /// out [count][longer]: v [count][shorter] times each line.
  void along_lines(host_exec const& ex, instruction_set isa, double const* v, std::size_t count, double* out) const {
    std::size_t const s = shorter(), m = longer();
    parallel_ranges(ex, m, s * count, [&](std::size_t begin, std::size_t end) {
      run_narrow(isa, [&] {
        for (std::size_t l = begin; l < end; ++l)
          for (std::size_t k = 0; k < count; ++k) out[k * m + l] = inner_product(v + k * s, line(l), s);
      });
    });
  }
  /// out [count][shorter]: the sum of the lines, times v [count][longer].
  void across_lines(host_exec const& ex, instruction_set isa, double const* v, std::size_t count, double* out) const {
    std::size_t const s = shorter(), m = longer();
    parallel_ranges(ex, count, m * s, [&](std::size_t begin, std::size_t end) {
      run_narrow(isa, [&] {
        std::fill(out + begin * s, out + end * s, 0.0);
        for (std::size_t l = 0; l < m; ++l)
          for (std::size_t k = begin; k < end; ++k) add_multiple(out + k * s, v[k * m + l], line(l), s);
      });
    });
  }
};

/// Left singular vectors u [rank][rows], rank <= min(rows, cols), the largest singular values first. They are
/// orthonormal; where rows > cols, one whose singular value is not told from zero is zero itself.
struct leading_vectors {
  host_exec const& ex;
  instruction_set isa;
  slim_matrix matrix;

  static std::size_t scratch_bytes(std::size_t rows, std::size_t cols) {
    std::size_t const s = std::min(rows, cols);
    return scratch::bytes_for<double>(s * s) + 2 * scratch::bytes_for<double>(s);
  }
  /// Returns the squares of all singular values, in `memory`.
  double const* find(std::size_t rank, double* u, scratch memory) const {
    std::size_t const s = matrix.shorter();
    auto* const gram = memory.take<double>(s * s);
    auto* const squares = memory.take<double>(s);
    auto* const spare = memory.take<double>(s);
    fill_gram(gram);
    symmetric_eigen{s, gram, squares, spare}.solve(isa);
    if (matrix.turned()) {
      std::copy(gram, gram + rank * s, u);
    } else {
      matrix.onto_rows(ex, isa, gram, rank, u);
      run_narrow(isa, [&] { orthonormalise_lines(u, rank, matrix.rows); });
    }
    return squares;
  }
  /// b [rank][cols] = u A.
  void coordinates(double const* u, std::size_t rank, double* b) const { matrix.onto_cols(ex, isa, u, rank, b); }

 private:
  /// The sum of the products of each line with itself, in tiles of its lower half.
  void fill_gram(double* gram) const {
    constexpr std::size_t tile = 32;
    std::size_t const s = matrix.shorter(), tiles = ceil_div(s, tile);
    // Tile t of the lower half, row by row: row r has r + 1 of them.
    parallel_ranges(ex, tiles * (tiles + 1) / 2, tile * tile * matrix.longer(),
                    [&](std::size_t begin, std::size_t end) {
                      std::size_t r = 0;
                      while ((r + 1) * (r + 2) / 2 <= begin) ++r;
                      for (std::size_t c = begin - r * (r + 1) / 2; begin < end; ++begin) {
                        std::size_t const i = r * tile, j = c * tile;
                        run_narrow(isa, [&] { gram_tile(gram, i, std::min(s, i + tile), j, std::min(s, j + tile)); });
                        if (++c > r) {
                          c = 0;
                          ++r;
                        }
                      }
                    });
    for (std::size_t i = 0; i < s; ++i)
      for (std::size_t j = 0; j < i; ++j) gram[j * s + i] = gram[i * s + j];
  }
  [[gnu::always_inline]] void gram_tile(double* gram, std::size_t i0, std::size_t i1, std::size_t j0,
                                        std::size_t j1) const {
    CCOMP_NO_CONTRACTION
    std::size_t const s = matrix.shorter(), m = matrix.longer(), width = j1 - j0;
    for (std::size_t i = i0; i < i1; ++i) std::fill(gram + i * s + j0, gram + i * s + j1, 0.0);
    std::size_t l = 0;
    for (; l + 4 <= m; l += 4) {
      double const *const a = matrix.line(l), *const b = a + s, *const c = b + s, *const d = c + s;
      for (std::size_t i = i0; i < i1; ++i) {
        double* CCOMP_RESTRICT const out = gram + i * s + j0;
        double const x = a[i], y = b[i], z = c[i], w = d[i];
        for (std::size_t j = 0; j < width; ++j)
          out[j] = (((out[j] + x * a[j0 + j]) + y * b[j0 + j]) + z * c[j0 + j]) + w * d[j0 + j];
      }
    }
    for (; l < m; ++l)
      for (std::size_t i = i0; i < i1; ++i)
        add_multiple(gram + i * s + j0, matrix.line(l)[i], matrix.line(l) + j0, width);
  }
  /// Gram and Schmidt's way, twice, which is enough (Giraud, Langou, Rozloznik, Computers & Mathematics with
  /// Applications 50, 2005).
  [[gnu::always_inline]] static void orthonormalise_lines(double* u, std::size_t rank, std::size_t length) {
    double least = 0;  // a longer rest is told from rounding
    for (std::size_t k = 0; k < rank; ++k) {
      double* const line = u + k * length;
      double const norm = shorten(u, k, length);
      if (k == 0) least = 0x1p-27 * norm;
      if (norm <= least) {
        std::fill(line, line + length, 0.0);
        continue;
      }
      for (std::size_t i = 0; i < length; ++i) line[i] /= norm;
      double const again = shorten(u, k, length);
      for (std::size_t i = 0; i < length; ++i) line[i] /= again;
    }
  }
  /// Takes from line k its parts along the lines before it; returns the length of the rest.
  [[gnu::always_inline]] static double shorten(double* u, std::size_t k, std::size_t length) {
    double* const line = u + k * length;
    for (std::size_t j = 0; j < k; ++j) {
      double const* const other = u + j * length;
      add_multiple(line, -inner_product(other, line, length), other, length);
    }
    return detail::sqrt(inner_product(line, line, length));
  }
};

/// The entry of largest magnitude of each line of u [count][rows], of equals (as floats) the first, becomes positive; with
/// it, the line of b [count][cols] changes its sign.
inline void fix_signs(std::size_t count, double* u, std::size_t rows, double* b, std::size_t cols) {
  for (std::size_t k = 0; k < count; ++k) {
    double* const line = u + k * rows;
    float largest = 0;
    for (std::size_t i = 0; i < rows; ++i)
      if (auto const x = static_cast<float>(line[i]); std::abs(x) > std::abs(largest)) largest = x;
    if (largest >= 0) continue;
    for (std::size_t i = 0; i < rows; ++i) line[i] = -line[i];
    for (std::size_t j = 0; j < cols; ++j) b[k * cols + j] = -b[k * cols + j];
  }
}
/// A float next to x; NaN, if x is not finite or nearly too large for one.
inline float narrowed(double x) { return std::abs(x) < 0x1p127 ? static_cast<float>(x) : canonical_nan(); }

}  // namespace detail
CCOMP_END
