#pragma once
/// Eigenvalues and eigenvectors of a symmetric matrix, in double.
///
/// Not Eigen's solver: that one multiplies in blocks whose size depends on the caches of the machine and on the number of
/// OpenMP threads, so that its bits do, too (docs/adr/0023-own-eigensolver.md). This one has one order of operations.

#include <ccomp/core/config.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/engine/host/isa.hpp>
#include <ccomp/engine/host/vector_types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>

CCOMP_BEGIN
namespace detail {

/// The inner product of x and y, in eight partial sums that are folded by halves.
[[gnu::always_inline]] inline double inner_product(double const* x, double const* y, std::size_t n) {
  CCOMP_NO_CONTRACTION
  double_x4 a{}, b{};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    double_x4 u, v, s, t;
    std::memcpy(&u, x + i, sizeof u);
    std::memcpy(&v, y + i, sizeof v);
    std::memcpy(&s, x + i + 4, sizeof s);
    std::memcpy(&t, y + i + 4, sizeof t);
    a = a + u * v;
    b = b + s * t;
  }
  a = a + b;
  double sum = (a[0] + a[2]) + (a[1] + a[3]);
  for (; i < n; ++i) sum = sum + x[i] * y[i];
  return sum;
}
/// y += factor * x
[[gnu::always_inline]] inline void add_multiple(double* CCOMP_RESTRICT y, double factor, double const* CCOMP_RESTRICT x,
                                                std::size_t n) {
  CCOMP_NO_CONTRACTION
  for (std::size_t i = 0; i < n; ++i) y[i] = y[i] + factor * x[i];
}

/// The matrix a [n][n] is replaced by its eigenvectors, one per row, of unit length; `values` are its eigenvalues, the
/// largest first. Householder's tridiagonal form, then QL with implicit shifts: EISPACK's tred2 and tql2 (Martin,
/// Reinsch, Wilkinson, Numerische Mathematik 11, 1968), with rows and columns exchanged so that inner loops are contiguous.
struct symmetric_eigen {
  std::size_t n;
  double *a, *values, *spare;  // n n, n and n numbers

  /// Finite numbers only, whose squares are in range.
  void solve(instruction_set isa) const {
    if (n == 0) return;
    run_narrow(isa, [this] {
      tridiagonalise();
      accumulate();
      iterate();
      sort();
    });
  }

 private:
  // Eigenvector j, and what it is built in: the j-th column of EISPACK's Z.
  [[gnu::always_inline]] double* row(std::size_t j) const { return a + j * n; }
  [[gnu::always_inline]] static double size_of(double x) { return x < 0 ? -x : x; }
  [[gnu::always_inline]] static double length_of(double x, double y) {
    CCOMP_NO_CONTRACTION
    return detail::sqrt(x * x + y * y);
  }

  [[gnu::always_inline]] void tridiagonalise() const {
    CCOMP_NO_CONTRACTION
    double *const d = values, *const e = spare;
    for (std::size_t j = 0; j < n; ++j) d[j] = row(j)[n - 1];
    for (std::size_t i = n - 1; i > 0; --i) {
      double scale = 0, h = 0;
      for (std::size_t k = 0; k < i; ++k) scale += size_of(d[k]);
      if (scale == 0) {
        e[i] = d[i - 1];
        for (std::size_t j = 0; j < i; ++j) {
          d[j] = row(j)[i - 1];
          row(j)[i] = 0;
          row(i)[j] = 0;
        }
      } else {
        for (std::size_t k = 0; k < i; ++k) d[k] /= scale;
        h = inner_product(d, d, i);
        double const f = d[i - 1], g = f > 0 ? -detail::sqrt(h) : detail::sqrt(h);
        e[i] = scale * g;
        h = h - f * g;
        d[i - 1] = f - g;
        std::fill(e, e + i, 0.0);
        for (std::size_t j = 0; j < i; ++j) {
          row(i)[j] = d[j];
          e[j] = (e[j] + row(j)[j] * d[j]) + inner_product(row(j) + j + 1, d + j + 1, i - j - 1);
          add_multiple(e + j + 1, d[j], row(j) + j + 1, i - j - 1);
        }
        for (std::size_t j = 0; j < i; ++j) e[j] /= h;
        double const along = inner_product(e, d, i) / (h + h);
        add_multiple(e, -along, d, i);
        for (std::size_t j = 0; j < i; ++j) {
          add_multiple(row(j) + j, -d[j], e + j, i - j);
          add_multiple(row(j) + j, -e[j], d + j, i - j);
          d[j] = row(j)[i - 1];
          row(j)[i] = 0;
        }
      }
      d[i] = h;
    }
  }
  /// The reflections, multiplied.
  [[gnu::always_inline]] void accumulate() const {
    double *const d = values, *const e = spare;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      row(i)[n - 1] = row(i)[i];
      row(i)[i] = 1;
      double const h = d[i + 1];
      double* const reflector = row(i + 1);
      if (h != 0) {
        for (std::size_t k = 0; k <= i; ++k) d[k] = reflector[k] / h;
        for (std::size_t j = 0; j <= i; ++j) add_multiple(row(j), -inner_product(reflector, row(j), i + 1), d, i + 1);
      }
      std::fill(reflector, reflector + i + 1, 0.0);
    }
    for (std::size_t j = 0; j < n; ++j) {
      d[j] = row(j)[n - 1];
      row(j)[n - 1] = 0;
    }
    row(n - 1)[n - 1] = 1;
    e[0] = 0;
  }
  [[gnu::always_inline]] void iterate() const {
    CCOMP_NO_CONTRACTION
    constexpr int most_steps = 60;  // two are usual; what has not converged then is orthonormal all the same
    double *const d = values, *const e = spare;
    for (std::size_t i = 1; i < n; ++i) e[i - 1] = e[i];
    e[n - 1] = 0;
    double shift = 0, largest = 0;
    for (std::size_t l = 0; l < n; ++l) {
      largest = std::max(largest, size_of(d[l]) + size_of(e[l]));
      std::size_t m = l;
      while (m + 1 < n && size_of(e[m]) > 0x1p-52 * largest) ++m;
      for (int step = 0; m > l && size_of(e[l]) > 0x1p-52 * largest && step < most_steps; ++step) {
        double const g = d[l], q = (d[l + 1] - g) / (2 * e[l]), r = q < 0 ? -length_of(q, 1) : length_of(q, 1);
        d[l] = e[l] / (q + r);
        d[l + 1] = e[l] * (q + r);
        double const next = d[l + 1], h = g - d[l], beside = e[l + 1];
        for (std::size_t i = l + 2; i < n; ++i) d[i] -= h;
        shift += h;
        double p = d[m], c = 1, c2 = 1, c3 = 1, s = 0, s2 = 0;
        for (std::size_t i = m; i-- > l;) {
          c3 = c2;
          c2 = c;
          s2 = s;
          double const u = c * e[i], v = c * p, w = length_of(p, e[i]);
          e[i + 1] = s * w;
          s = e[i] / w;
          c = p / w;
          p = c * d[i] - s * u;
          d[i + 1] = v + s * (c * u + s * d[i]);
          rotate(row(i), row(i + 1), c, s);
        }
        p = -s * s2 * c3 * beside * e[l] / next;
        e[l] = s * p;
        d[l] = c * p;
      }
      d[l] += shift;
      e[l] = 0;
    }
  }
  [[gnu::always_inline]] void rotate(double* CCOMP_RESTRICT x, double* CCOMP_RESTRICT y, double c, double s) const {
    CCOMP_NO_CONTRACTION
    for (std::size_t k = 0; k < n; ++k) {
      double const old = y[k];
      y[k] = s * x[k] + c * old;
      x[k] = c * x[k] - s * old;
    }
  }
  /// Of equal values the order stays.
  [[gnu::always_inline]] void sort() const {
    for (std::size_t i = 0; i + 1 < n; ++i) {
      std::size_t best = i;
      for (std::size_t j = i + 1; j < n; ++j)
        if (values[j] > values[best]) best = j;
      if (best == i) continue;
      std::swap(values[i], values[best]);
      std::swap_ranges(row(i), row(i) + n, row(best));
    }
  }
};

}  // namespace detail
CCOMP_END
